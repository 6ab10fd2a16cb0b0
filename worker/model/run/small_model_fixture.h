// A small random model from memory, for tests.
#pragma once

#include <torch/types.h>

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "worker/model/decoder/decoder.h"
#include "worker/model/decoder/family.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::run {

// Weights in memory.
class MemorySource final : public weights::TensorSource {
 public:
  void Add(const std::string& name, const torch::Tensor& value) {
    infos_.push_back({name, weights::DType::kF32, value.sizes().vec()});
    values_[name] = value.contiguous();
  }
  torch::Tensor& At(const std::string& name) { return values_.at(name); }
  const torch::Tensor& ValueOf(const std::string& name) const { return values_.at(name); }
  void Remove(const std::string& name) {
    std::erase_if(infos_, [&](const auto& info) { return info.name == name; });
  }
  const std::vector<weights::TensorInfo>& tensors() const override { return infos_; }
  Status ReadBytes(const weights::TensorInfo& info, std::span<std::byte> out) const override {
    std::memcpy(out.data(), values_.at(info.name).data_ptr(), out.size());
    return absl::OkStatus();
  }

 private:
  std::vector<weights::TensorInfo> infos_;
  std::map<std::string, torch::Tensor> values_;
};

inline model::DecoderConfig SmallConfig() {
  model::DecoderConfig config;
  config.family = "llama";
  config.vocabulary = 37;
  config.hidden = 24;
  config.layers = 3;
  config.heads = 4;
  config.key_heads = 2;
  config.head_size = 6;
  config.intermediate = 40;
  config.qkv_bias = true;
  config.tied_head = true;
  return config;
}

inline MemorySource RandomWeights(const model::DecoderConfig& config) {
  at::Generator generator = at::detail::createCPUGenerator(5);  // Its own, since tests run ranks as threads.
  MemorySource source;
  for (const model::StoredWeight& weight : model::LayoutOf(config)) {
    const bool norm = weight.name.find("norm") != std::string::npos;
    source.Add(weight.name, torch::randn(weight.shape, generator) * 0.2 + (norm ? 1.0 : 0.0));
  }
  return source;
}

}  // namespace ft::run
