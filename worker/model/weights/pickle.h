// pytorch_model.bin: a zip archive of torch.save (PyTorch 1.6 and later) that holds a state dict. Entries:
// <folder>/data.pkl, the dictionary as a pickle (see unpickler.h), and <folder>/data/<key>, one storage each,
// stored without compression.
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "worker/model/weights/stored_zip.h"
#include "worker/model/weights/tensor_source.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::weights {

// One file, open for reading. Immutable and thread-safe. Open reads and checks the dictionary and the place
// and size of each storage; the weights are read with pread when asked for. Views with other strides than
// row-major are gathered. Errors are INVALID_ARGUMENT and name the file and the tensor.
class TorchFile final : public TensorSource {
 public:
  static StatusOr<std::unique_ptr<TorchFile>> Open(const std::filesystem::path& path);

  // In the dictionary's order.
  const std::vector<TensorInfo>& tensors() const override { return table_.tensors(); }
  const TensorInfo* Find(std::string_view name) const override { return table_.Find(name); }
  Status ReadBytes(const TensorInfo& info, std::span<std::byte> out) const override;

 private:
  // What a tensor's elements are within the file.
  struct View {
    uint64_t offset = 0;           // Offset of the first element, in bytes of the file.
    std::vector<int64_t> strides;  // In elements; empty when the elements lie end to end in row-major order.
  };

  explicit TorchFile(StoredZip zip) : zip_(std::move(zip)) {}
  Status ReadDictionary();
  Status Gather(const TensorInfo& info, const View& view, std::span<std::byte> out) const;

  StoredZip zip_;
  TensorTable table_;
  std::vector<View> views_;  // By index in table_.
};

}  // namespace ft::weights
