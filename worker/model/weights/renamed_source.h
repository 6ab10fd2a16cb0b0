// Stored tensors under other names. Trainers and wrappers put prefixes before a model's names, or leave the
// "model." out; adapters carry the name of the adapter within each tensor's. Everything behind this file sees
// one spelling.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/model/weights/tensor_source.h"
#include "worker/model/weights/tensor_table.h"

namespace ft::weights {

// Immutable and thread-safe, as its source is. Order is the source's.
class RenamedSource final : public TensorSource {
 public:
  // INVALID_ARGUMENT when two tensors would have one name. The source's remarks are taken over.
  static StatusOr<std::unique_ptr<RenamedSource>> Make(
      std::unique_ptr<TensorSource> source, const std::function<std::string(const std::string&)>& rename);

  const std::vector<TensorInfo>& tensors() const override { return table_.tensors(); }
  const TensorInfo* Find(std::string_view name) const override { return table_.Find(name); }
  Status ReadBytes(const TensorInfo& info, std::span<std::byte> out) const override;
  Status ReadPart(const TensorInfo& info, uint64_t first, std::span<std::byte> out) const override;

 private:
  explicit RenamedSource(std::unique_ptr<TensorSource> source) : source_(std::move(source)) {}

  const std::unique_ptr<TensorSource> source_;
  TensorTable table_;  // Index i is the source's tensor i.
};

// A decoder's tensors as Hugging Face's ...ForCausalLM has them, "model.embed_tokens.weight" and
// "lm_head.weight", where they were saved from the bare model ("embed_tokens.weight") or within wrappers
// ("module.model.embed_tokens.weight"). As it is when they have these names already, no one embedding
// tells where the decoder begins, or it is an adapter's.
StatusOr<std::unique_ptr<TensorSource>> WithDecoderNames(std::unique_ptr<TensorSource> source);

}  // namespace ft::weights
