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
#include "worker/model/decoder/config.h"
#include "worker/model/decoder/decoder.h"
#include "worker/model/params/param_ref.h"
#include "worker/model/run/block_runner.h"
#include "worker/model/run/load.h"
#include "worker/model/run/micro_batch.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::run {

struct ModelOptions {
  std::string dtype = "fp32";   // Compute type: fp32 | bf16 | fp16 (on CPU: fp32 over weights rounded to fp16).
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
  uint64_t seed = 42;                    // Of the adapter's first values.
};

// A block of the 8-bit optimizers and of the gradient norm, and four cache lines: edges that shards can be cut at.
constexpr int64_t kGradientAlignment = 256;

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

  // Everything that is trained, sorted by name: adapters as PEFT names them, or canonical weight names for
  // full fine-tuning. Values and gradients are float32; the trainer updates values in place and then calls
  // ParametersChanged().
  const std::vector<params::ParamRef>& parameters() const { return parameters_; }
  // All gradients end to end in the parameters' order, fp32, each padded with zeros to kGradientAlignment elements; the
  // parameters' gradients are views of it.
  const torch::Tensor& gradients() const { return gradients_; }
  void ZeroGradients();
  // Forgets copies of parameters in the compute type.
  void ParametersChanged();

  // Takes parameter values by name from `source`. INVALID_ARGUMENT names a tensor that is missing, left over
  // or of another shape; parameters are unchanged then.
  Status LoadParameters(const weights::TensorSource& source);

  // The sum of token losses; ADDS gradient_scale * its gradient into the parameters' gradients. REQUIRES: a
  // batch that Check() accepts.
  double ForwardBackward(const MicroBatch& batch, double gradient_scale);
  // The sum of token losses outside training (no dropout), no gradient.
  double Loss(const MicroBatch& batch) const;
  // float32 [B, T, V] outside training; zero behind each row's length.
  torch::Tensor Logits(const MicroBatch& batch) const;
  // INVALID_ARGUMENT for shapes that disagree and for ids outside the vocabulary.
  Status Check(const MicroBatch& batch) const;

  const BlockRunner& runner() const { return *runner_; }

 private:
  LanguageModel(model::DecoderConfig config, ModelOptions options)
      : config_(std::move(config)), options_(std::move(options)) {}
  Status Build(const weights::TensorSource& source);
  void LayOutGradients();

  const model::DecoderConfig config_;
  const ModelOptions options_;
  model::DecoderWeights weights_;
  std::vector<std::string> remarks_;
  TrainedSlots trained_;                     // Sorted by name.
  torch::Tensor gradients_;
  std::vector<params::ParamRef> parameters_;  // Of trained_, in its order.
  std::unique_ptr<BlockRunner> runner_;
};

}  // namespace ft::run
