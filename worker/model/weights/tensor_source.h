// A model's stored tensors, whatever the file format: names, types, shapes, and reads into place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace ft::weights {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool, kQ8_0, kQ4_0, kQ4_1 };

// Bytes of `elements` values; block formats need a multiple of 32. INVALID_ARGUMENT on overflow or a partial block.
StatusOr<uint64_t> StoredBytes(DType dtype, uint64_t elements);
std::string_view Name(DType dtype);  // As safetensors and GGUF write it: F32, BF16, Q4_1, ...

struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // Row-major, outermost first, in every format.
  uint64_t elements() const;
};

// Thread-safe for reading.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // In the order of the file(s).
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // Null when there is no tensor of that name. Looks at all of them, unless a format has an index.
  virtual const TensorInfo* Find(std::string_view name) const;
  // The stored bytes. REQUIRES: out.size() == StoredBytes(info.dtype, info.elements()).
  virtual Status ReadBytes(const TensorInfo& info, std::span<std::byte> out) const = 0;
  // The stored bytes from `first` on. A source that cannot read a part reads all. REQUIRES: they lie within the tensor.
  virtual Status ReadPart(const TensorInfo& info, uint64_t first, std::span<std::byte> out) const;

  // What was unusual in the files and is read all the same, for people.
  const std::vector<std::string>& remarks() const { return remarks_; }
  // While the files are being opened, by one thread.
  void AddRemark(std::string remark) { remarks_.push_back(std::move(remark)); }

 private:
  std::vector<std::string> remarks_;
};

// Reads a tensor of any floating or block type as float32 (exact for F16, BF16, F32 and the block formats' own formula).
// REQUIRES: out.size() == info.elements().
Status ReadFloat32(const TensorSource& source, const TensorInfo& info, std::span<float> out);

// Opens the weights of a model folder in Hugging Face layout (model.safetensors, a sharded index,
// pytorch_model.bin or its shards; shards without an index when all of a numbered set are there), a single
// .safetensors file, or a .gguf file. Tensor names are Hugging Face's: GGUF's are translated and its permuted
// q and k rows put back, and what was saved from a bare or a wrapped model gets the names of the whole
// (WithDecoderNames), unless config.json says that the model has a text part beside others. Every offset and shape is checked against the file before anything is allocated; an
// error names the file and the tensor.
StatusOr<std::unique_ptr<TensorSource>> OpenWeights(const std::filesystem::path& path);

}  // namespace ft::weights
