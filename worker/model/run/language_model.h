// A loaded model: what the trainer, the evaluator, generation and merging work on.
//
// Lives on one thread. LibTorch's exceptions become Status in Load; the other calls throw them on, to be
// caught where the rank guards its work.
#pragma once

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/device/staging.h"
#include "worker/model/decoder/config.h"
#include "worker/model/decoder/decoder.h"
#include "worker/model/params/adapters.h"
#include "worker/model/params/parameter_store.h"
#include "worker/model/params/quantised_base.h"
#include "worker/model/params/read_slot.h"
#include "worker/model/params/shared_units.h"
#include "worker/model/params/unit_store.h"
#include "worker/model/run/block_runner.h"
#include "worker/model/run/packed_rows.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::run {

struct ModelOptions {
  std::string dtype =
      "fp32";  // Compute type: fp32 | bf16 | fp16 (on CPU: fp32 over weights rounded to fp16).
  std::string method = "none";  // none (inference) | full | lora | qlora | int8_lora
  params::BaseKind base =
      params::BaseKind::kStored;  // Of a model that is not trained; qlora and int8_lora have their own.
  bool attach_adapter = false;    // Also with method none: for an adapter that is loaded and not trained.
  int rank = 8;
  double alpha = 16;
  double dropout = 0;
  params::AdapterKind kind;
  std::vector<std::string> targets = {"all_linear"};
  bool pass_over_targets = false;                // As params::AdapterOptions has it; remarks() name them.
  std::string adapter_compute = "auto";          // auto = the compute type | fp32
  bool checkpointing = true;                     // Recompute activations in backward,
  int64_t checkpointed_blocks = 0;               // of the first so many blocks; 0 = of all.
  uint64_t seed = 42;                            // Seed of the adapter's first values.
  at::Device device = device::kHost;             // Where the model lies and computes.
  params::QuantisedBaseOptions base_cache = {};  // Of the node; without a folder nothing is kept.
  // Of a job that several ranks run: they load the model together.
  params::WeightDivision division = {};
  std::function<void()> before_backward = [] {};  // RunnerOptions has it.
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

  // What adapter_config.json says of the layers with an adapter: ends of their names where these mean no other layer, else whole
  // names. Sorted; empty without adapters.
  const std::vector<std::string>& adapted() const { return adapted_; }
  // Everything that is trained: adapters and what is saved whole beside them as PEFT names it, or of full fine-tuning the model's
  // own names.
  params::ParameterStore& store() { return *store_; }
  const params::ParameterStore& store() const { return *store_; }
  // Whoever has changed the store's values says so here: on all ranks, where they divide weights.
  void ValuesChanged();
  // Null where every rank has all weights.
  const params::SharedUnits* shared_units() const { return shared_units_; }
  // Whether every pass is an exchange between ranks, so that all have to run it: one that has nothing to compute runs an empty one.
  bool needs_all_ranks() const { return shared_units_ != nullptr && options_.division.units; }

  // The sum of token losses; gives gradient_scale * its gradient to `sink`, or ADDS it to the store's gradients.
  double ForwardBackward(const PackedRows& rows, double gradient_scale, params::GradientSink& sink);
  double ForwardBackward(const PackedRows& rows, double gradient_scale) {
    return ForwardBackward(rows, gradient_scale, *store_);
  }
  // What a pass of ForwardBackward, of Loss or of Logits exchanges, without computing anything.
  void EmptyPass(params::GradientSink& sink) { runner_->EmptyPass(sink); }
  void EmptyForward() const { runner_->EmptyForward(); }
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
  Status Build(const weights::TensorSource& files);
  // The linear layers of the blocks that get an adapter.
  StatusOr<std::vector<params::LinearModule>> Adapted(const params::AdapterOptions& adapter);
  void AttachAdapters(const params::AdapterOptions& adapter);

  const model::DecoderConfig config_;
  const ModelOptions options_;
  std::vector<std::string> remarks_, adapted_;
  std::unique_ptr<params::ParameterStore> store_;  // Before the slots over it.
  model::DecoderWeights weights_;
  std::unique_ptr<params::UnitStore> units_;
  params::SharedUnits* shared_units_ = nullptr;  // Where units_ is that.
  std::unique_ptr<BlockRunner> runner_;
};

}  // namespace ft::run
