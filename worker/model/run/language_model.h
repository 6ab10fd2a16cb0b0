// A loaded model: what the trainer, the evaluator, generation and merging work on.
//
// Lives on one thread. LibTorch's exceptions become Status in Load; the other calls throw them on, to be
// caught where the rank guards its work.
#pragma once

#include <torch/torch.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/device/staging.h"
#include "worker/model/decoder/config.h"
#include "worker/model/decoder/decoder.h"
#include "worker/model/params/adapters.h"
#include "worker/model/params/parameter_store.h"
#include "worker/model/params/unit_store.h"
#include "worker/model/run/block_runner.h"
#include "worker/model/run/packed_rows.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::run {

struct ModelOptions {
  std::string dtype =
      "fp32";  // Compute type: fp32 | bf16 | fp16 (on CPU: fp32 over weights rounded to fp16).
  std::string method = "none";  // none (inference) | full | lora | qlora
  bool nf4_base = false;        // Quantise the base without training it (qlora implies it).
  bool attach_adapter = false;  // Also with method none: for an adapter that is loaded and not trained.
  int rank = 8;
  double alpha = 16;
  double dropout = 0;
  std::vector<std::string> targets = {"all_linear"};
  std::string adapter_compute = "auto";  // auto = the compute type | fp32
  bool checkpointing = true;             // Recompute activations in backward,
  int64_t checkpointed_blocks = 0;       // of the first so many blocks; 0 = of all.
  uint64_t seed = 42;                    // Seed of the adapter's first values.
  at::Device device = device::kHost;     // Where the model lies and computes.
};

class LanguageModel {
 public:
  // From a folder in Hugging Face layout (config.json and weights).
  static StatusOr<std::unique_ptr<LanguageModel>> LoadFolder(const std::filesystem::path& folder,
                                                             const ModelOptions& options);
  static StatusOr<std::unique_ptr<LanguageModel>> Load(const model::DecoderConfig& config,
                                                       const weights::TensorSource& source,
                                                       const ModelOptions& options);

  const model::DecoderConfig& config() const { return config_; }
  const model::DecoderWeights& weights() const { return weights_; }
  const ModelOptions& options() const { return options_; }
  // What was unusual in the model's files and is read all the same, or left out: a sentence each, for people.
  const std::vector<std::string>& remarks() const { return remarks_; }

  // Everything that is trained: adapters as PEFT names them, or of full fine-tuning the model's own names.
  params::ParameterStore& store() { return *store_; }
  const params::ParameterStore& store() const { return *store_; }

  // The sum of token losses; ADDS gradient_scale * its gradient to the store's gradients.
  double ForwardBackward(const PackedRows& rows, double gradient_scale);
  // The sum of token losses, no dropout, no gradient.
  double Loss(const PackedRows& rows, model::Mode mode = model::Mode::kInference) const {
    return runner_->Loss(rows, mode);
  }
  // float32 [N, V], likewise, in host memory.
  torch::Tensor Logits(const PackedRows& rows, model::Mode mode = model::Mode::kInference) const;

  const BlockRunner& runner() const { return *runner_; }

 private:
  LanguageModel(model::DecoderConfig config, ModelOptions options)
      : config_(std::move(config)), options_(std::move(options)) {}
  Status Build(const weights::TensorSource& source);
  // The linear layers of the blocks that get an adapter.
  StatusOr<std::vector<params::LinearModule>> Adapted(const params::AdapterOptions& adapter) const;
  void AttachAdapters(const params::AdapterOptions& adapter);

  const model::DecoderConfig config_;
  const ModelOptions options_;
  std::vector<std::string> remarks_;
  std::unique_ptr<params::ParameterStore> store_;  // Before the slots over it.
  model::DecoderWeights weights_;
  params::ResidentUnits units_;
  std::unique_ptr<BlockRunner> runner_;
};

}  // namespace ft::run
