// GGUF files of Llama models, seen as Hugging Face would store them: names translated, and the rows of q and
// k put back in order (llama.cpp interleaves the two halves of each head for its rotary embedding). Types
// F32, F16, BF16, Q8_0, Q4_0 and Q4_1; any other is refused by name. Sources: the GGUF description in ggml's
// documentation; llama.cpp's converter for the names and the permutation.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/gguf/gguf_header.h"
#include "worker/model/weights/tensor_source.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::weights {

using gguf::GgufHeader, gguf::GgufMetadata, gguf::GgufTensor;

// One file, open for reading. Immutable and thread-safe. Open checks the whole header: each tensor's bytes
// lie within the file, aligned, and overlap no other's. Errors are INVALID_ARGUMENT and name the file and the
// tensor.
class GgufFile final : public TensorSource {
 public:
  static StatusOr<std::unique_ptr<GgufFile>> Open(const std::filesystem::path& path);
  const GgufMetadata& metadata() const { return header_.metadata; }
  const GgufHeader& header() const { return header_; }
  const std::filesystem::path& path() const { return file_.path(); }

  // In the header's order, under Hugging Face names.
  const std::vector<TensorInfo>& tensors() const override { return table_.tensors(); }
  const TensorInfo* Find(std::string_view name) const override { return table_.Find(name); }
  // Whole stored rows are put back in order, so the bytes of a block stay together.
  Status ReadBytes(const TensorInfo& info, std::span<std::byte> out) const override;

 private:
  struct StoredRange {
    uint64_t offset = 0;  // In the file.
    uint64_t bytes = 0;
    uint64_t heads = 0;  // Heads of a permuted tensor, else 0.
  };

  explicit GgufFile(RandomAccessFile file) : file_(std::move(file)) {}
  Status ReadHeader();
  Status AddTensor(const GgufTensor& tensor, uint64_t data_offset, uint64_t alignment);
  StatusOr<uint64_t> PermutedHeads(const std::string& stored_name, const TensorInfo& info) const;
  Status CheckOverlaps() const;
  Status ReadPermuted(const TensorInfo& info, const StoredRange& range, std::span<std::byte> out) const;

  RandomAccessFile file_;
  GgufHeader header_;
  TensorTable table_;
  std::vector<StoredRange> ranges_;  // By index in table_.
};

// The Hugging Face name of a tensor of a Llama GGUF; nothing for a name that Llama does not have.
std::optional<std::string> HuggingFaceName(std::string_view stored_name);

// A Hugging Face config.json for the model, from the metadata and the tensors that are there (tied head,
// biases). INVALID_ARGUMENT names the file and the key that is missing or says something that a Llama config
// cannot.
StatusOr<std::string> GgufConfigJson(const GgufFile& file);

}  // namespace ft::weights
