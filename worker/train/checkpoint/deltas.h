// What an adapter makes of a model's weights, tensor by tensor.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/model/decoder/config.h"
#include "worker/model/decoder/layout.h"
#include "worker/train/checkpoint/adapter.h"

namespace ft::checkpoint {

class Deltas {
 public:
  // Of no adapter where `dir` is empty. `layout`: the model's, which tells the experts of what PEFT adapts as one tensor.
  static StatusOr<Deltas> Open(const std::filesystem::path& dir, const model::Layout& layout);

  // Changes the stored weight of the name in place where the adapter does: scale B A is added to a linear layer's matrix, with DoRA its
  // rows are then brought to their magnitudes, and what was trained whole takes its place. INVALID_ARGUMENT where shapes do not fit.
  Status AddTo(const std::string& stored, torch::Tensor& weight);

  // Whether a tied head may be changed as the adapter does. INVALID_ARGUMENT names it; a tied head may be stored, but nobody reads it.
  Status CheckHead(const nlohmann::json& config) const;
  // Likewise of what was trained whole; `file` is named in errors. Before the first AddTo.
  Status CheckSaved(std::string_view config_text, std::string_view file);
  // INVALID_ARGUMENT names what the adapter changes and no tensor was.
  Status AllUsed() const;
  int merged() const { return merged_; }  // Weights that were changed.

 private:
  StatusOr<torch::Tensor> Read(const std::string& name) const;
  Status AddPair(const std::string& module, const std::string& stored, torch::Tensor& weight);
  // By the adapter's tensor of that name.
  Status Replace(const std::string& name, const std::string& stored, torch::Tensor& weight);

  params::PeftConfig config_;
  std::unique_ptr<weights::TensorSource> tensors_;
  std::optional<model::DecoderConfig> tied_;  // Of a model whose head is an embedding that was trained whole.
  std::set<std::string> unused_;              // Modules of linear layers, and tensors of saved ones.
  int merged_ = 0;
};

}  // namespace ft::checkpoint
