// Walks a decoder's sub-layers itself, two a block; the embedding is before the first, final norm and head
// behind the last. There is no autograd graph across sub-layers; each one's own graph is differentiated when
// the walk comes back to it, with or without recomputation, and the gradients are the same bits either way.
//
// Lives on the training thread.
#pragma once

#include <torch/types.h>

#include <functional>
#include <vector>

#include "core/plan/passes.h"
#include "worker/device/staging.h"
#include "worker/model/decoder/decoder.h"
#include "worker/model/decoder/rope_angles.h"
#include "worker/model/ops/loss_head.h"
#include "worker/model/params/gradient_sink.h"
#include "worker/model/params/unit_store.h"
#include "worker/model/run/packed_rows.h"
#include "worker/model/run/rope_tables.h"

namespace ft::run {

struct RunnerOptions {
  at::ScalarType compute = at::kFloat;
  at::ScalarType saved_dtype = at::kFloat;  // Dtype of what waits for backward: model::ForwardContext.
  // Keep only the inputs of sub-layers and the results of attention, whose recomputation would cost more than
  // their bytes, and compute the rest again in backward: all but what only the next sub-layer reads (Korthikanti
  // et al., arXiv 2205.05198, section 5, with the last products left out as well).
  bool checkpointing = true;
  // Checkpoint only the first N blocks; 0 = all. Backward begins with the last, so their activations wait shortest.
  int64_t checkpointed_blocks = 0;
  at::Device device = device::kHost;  // Where the weights lie; rows are brought there.
  // Called between forward and backward of a pass that trains, where activations take the most memory.
  std::function<void()> before_backward = [] {};
};

class BlockRunner {
 public:
  // Config, weights and units outlive the runner, which holds a unit while it reads its weights.
  BlockRunner(const model::DecoderConfig& config, const model::DecoderWeights& weights,
              params::UnitStore& units, RunnerOptions options);

  // Sum of the token losses, and gradient_scale * its gradients to `sink`. A loss of routers counts once for each of these losses.
  double ForwardBackward(const PackedRows& rows, std::shared_ptr<const ops::DropoutRows> dropout,
                         double gradient_scale, params::GradientSink& sink) const;
  // Goes through the units as ForwardBackward does, and as Loss, or Hidden and then Logits; computes nothing.
  void EmptyPass(params::GradientSink& sink) const;
  void EmptyForward() const;
  // How passes go through the units.
  plan::PassShape shape() const;
  // Sum of the token losses, without gradients or dropout; with the routers' loss in training alone.
  double Loss(const PackedRows& rows, model::Mode mode = model::Mode::kInference) const;
  // The rows that enter the head, [N, C], likewise. With a cache, rows continue its sequence.
  torch::Tensor Hidden(const PackedRows& rows, std::vector<model::LayerCache>* cache,
                       model::Mode mode = model::Mode::kInference) const;
  // float32 [N, V] of such rows, on their device.
  torch::Tensor Logits(const torch::Tensor& hidden_NC) const;

 private:
  struct SubLayerRun;  // Input and output of one.

  int64_t SubLayers() const { return 2 * config_.layers; }
  // Sub-layer i is the attention (i even) or the MLP of block i / 2.
  torch::Tensor Forward(int64_t i, const torch::Tensor& x_NC, const model::ForwardContext& context,
                        ops::ForwardOutput output = ops::ForwardOutput::kComputed) const;
  // The same with a graph.
  SubLayerRun ForwardWithGraph(int64_t i, const torch::Tensor& x_NC, const model::ForwardContext& context,
                               ops::ForwardOutput output) const;
  torch::Tensor Embed(const PackedRows& rows) const;
  // Hidden() of a pass.
  torch::Tensor HiddenOf(const PackedRows& rows, const model::ForwardContext& context) const;
  // The rows' positions, for the table of them; throws c10::Error for one beyond it.
  torch::Tensor Positions(const PackedRows& rows) const;
  // Gives the gradients of what Embed has read to `sink`, from that of its result.
  void EmbeddingGradients(const PackedRows& rows, const torch::Tensor& dx_NC,
                          params::GradientSink& sink) const;
  ops::Head Head() const;
  torch::Tensor FinalNorm(const torch::Tensor& x_NC) const;
  // Runs all sub-layers over the embedded rows and keeps in `runs` what backward needs of each; returns the residual stream.
  torch::Tensor ForwardBlocks(torch::Tensor x_NC, model::ForwardContext& context,
                              std::vector<ops::SavedAttention>& saved, std::vector<SubLayerRun>& runs) const;
  // The way back, until nothing below trains; returns the gradient of the embedded rows.
  torch::Tensor BackwardBlocks(torch::Tensor dx_NC, model::ForwardContext& context,
                               std::vector<ops::SavedAttention>& saved, std::vector<SubLayerRun>& runs,
                               params::GradientSink& sink) const;
  // Final norm and head, forward and backward: returns the losses and sets the gradient of x.
  ops::TokenLosses HeadBackward(const PackedRows& rows, const torch::Tensor& x_NC, double gradient_scale,
                                torch::Tensor& dx_NC, params::GradientSink& sink) const;
  // Gives the gradients of a sub-layer's slots to `sink`; returns that of its input, undefined where nothing below
  // trains.
  torch::Tensor Backward(int64_t i, const SubLayerRun& run, const torch::Tensor& dout_NC,
                         params::GradientSink& sink) const;
  torch::Tensor Uploaded(const std::vector<int64_t>& numbers) const;  // int64, on the weights' device.
  int EmbeddingUnit() const { return model::UnitOf(config_, {model::Part::kEmbedding}); }
  int HeadUnit() const { return model::UnitOf(config_, {model::Part::kHead}); }
  int BlockUnit(int64_t layer) const { return model::UnitOf(config_, {model::Part::kProjection, layer}); }
  bool IsRecomputed(int64_t i) const;
  bool TrainsBelow(int64_t i) const;  // The embedding, or any sub-layer before the i-th.

  const model::DecoderConfig& config_;
  const model::DecoderWeights& weights_;
  params::UnitStore& units_;
  const RunnerOptions options_;
  std::vector<std::vector<const ops::WeightSlot*>>
      trainable_;             // The trained weights of each sub-layer, in a fixed order.
  mutable RopeTables ropes_;  // Of the positions that passes had so far.
};

}  // namespace ft::run
