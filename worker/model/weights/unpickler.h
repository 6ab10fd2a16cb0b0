// Reads the one kind of pickle that a PyTorch state dict is: a dictionary of tensors. A pickle is a program;
// this machine knows only the instructions that such a dictionary needs and only the names listed in
// unpickler.cc, builds plain data and never calls anything. Whatever else is asked for is refused by the name
// of the instruction or of the global. Sources: the pickletools module's description of the opcodes;
// PyTorch's serialization notes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/model/weights/tensor_source.h"

namespace ft::weights {

// A tensor as the pickle describes it: a strided view of a storage. Checked: every element lies within the
// storage's declared size, and there are no more elements than the storage has.
struct PickledTensor {
  TensorInfo info;
  std::string storage;  // The storage's key: its bytes are the archive's entry data/<key>.
  uint64_t storage_elements = 0;
  uint64_t offset = 0;           // Offset of the first element, in elements.
  std::vector<int64_t> strides;  // In elements, one for each dimension, none negative.
};

constexpr size_t kMaxPickleBytes = 32 << 20;

// The dictionary's tensors in its order; where a trainer saved a dictionary of several things, those under
// "state_dict", "model_state_dict", "module" or "model". INVALID_ARGUMENT for anything but a dictionary of
// tensors; pickles longer than kMaxPickleBytes and those that make, store or stack more than a million values
// are refused.
StatusOr<std::vector<PickledTensor>> UnpickleStateDict(std::string_view pickle);

}  // namespace ft::weights
