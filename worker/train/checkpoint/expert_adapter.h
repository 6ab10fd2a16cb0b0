// Adapters of experts that a family has in one tensor only. PEFT adapts such a parameter as a whole (target_parameters): one A, the
// experts' one below the other, and one B, whose columns are the ranks' and within each rank the experts'. Slots and checkpoints have
// each expert's own pair.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/layout.h"
#include "worker/train/checkpoint/adapter.h"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {

struct FusedAdapter {
  std::vector<NamedTensor> tensors;     // Sorted by name.
  std::vector<std::string> parameters;  // As target_parameters names them; empty where nothing was fused.
};

// The tensors of an adapter, under PEFT's names, as PEFT has them for a model of this layout.
FusedAdapter FuseExperts(const model::Layout& layout, std::vector<NamedTensor> tensors);

// The other way round: each expert's own pair in the place of PEFT's, and the modules that it changes. INVALID_ARGUMENT names a pair that
// does not fit the model's experts.
Status SplitExperts(const model::Layout& layout, StoredAdapter& adapter);

}  // namespace ft::checkpoint
