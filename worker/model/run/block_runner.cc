#include "worker/model/run/block_runner.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "worker/device/staging.h"
#include "worker/model/decoder/rope_angles.h"
#include "worker/model/ops/loss_head.h"
#include "worker/model/ops/norm.h"

namespace ft::run {
namespace {

using torch::Tensor;

// Every trainable slot of a sub-layer once, in the order of its structure.
std::vector<const ops::WeightSlot*> TrainableSlots(const ops::SlotPtr& norm,
                                                   std::span<const model::Projection> projections) {
  std::vector<const ops::WeightSlot*> slots;
  const auto add = [&](const ops::SlotPtr& slot) {
    if (slot != nullptr && slot->trainable()) slots.push_back(slot.get());
  };
  add(norm);
  for (const model::Projection& projection : projections) {
    add(projection.weight);
    add(projection.bias);
    if (!projection.adapter.has_value()) continue;
    add(projection.adapter->a_RI);
    add(projection.adapter->b_OR);
  }
  return slots;
}

// Segments whose angles are alike (all of them, unless the scaling looks at the length) share one table.
ops::RopeTable RopeOf(const model::DecoderConfig& config, const PackedRows& rows) {
  const auto alike = [&](int64_t length) {
    return !model::AnglesDiffer(config, rows.rope_lengths.front(), length);
  };
  if (std::all_of(rows.rope_lengths.begin(), rows.rope_lengths.end(), alike)) {
    return model::MakeRopeTable(config, rows.position_N, rows.rope_lengths.front());
  }
  std::vector<Tensor> cosine, sine;
  for (size_t i = 0; i < rows.segments.size(); ++i) {
    const auto first = rows.position_N.begin() + rows.segments[i].first_query;
    const ops::RopeTable table =
        model::MakeRopeTable(config, {first, first + rows.segments[i].queries}, rows.rope_lengths[i]);
    cosine.push_back(table.cosine_NP);
    sine.push_back(table.sine_NP);
  }
  return {at::cat(cosine), at::cat(sine)};
}

model::ForwardContext MakeForwardContext(const model::DecoderConfig& config, const PackedRows& rows,
                                         const RunnerOptions& options) {
  const ops::RopeTable rope = RopeOf(config, rows);
  return model::ForwardContext{
      .compute = options.compute,
      .saved_dtype = options.saved_dtype,
      .rope = {device::Upload(rope.cosine_NP, options.device), device::Upload(rope.sine_NP, options.device)},
      .attention = ops::MakeAttentionShape(
          rows.segments, 1.0 / std::sqrt(static_cast<double>(config.head_size)), options.device)};
}

}  // namespace

struct BlockRunner::SubLayerRun {
  Tensor input_NC;   // A leaf of the graph; asks for a gradient where something below trains.
  Tensor output_NC;  // With its graph.
};

BlockRunner::BlockRunner(const model::DecoderConfig& config, const model::DecoderWeights& weights,
                         params::UnitStore& units, RunnerOptions options)
    : config_(config), weights_(weights), units_(units), options_(options) {
  for (const model::BlockWeights& block : weights.blocks) {
    const std::span<const model::Projection> projections(block.projection);
    trainable_.push_back(TrainableSlots(block.attention_norm, projections.first(model::kGate)));
    trainable_.push_back(TrainableSlots(block.mlp_norm, projections.subspan(model::kGate)));
  }
}

bool BlockRunner::TrainsBelow(int64_t i) const {
  return weights_.embedding_VC->trainable() || std::any_of(trainable_.begin(), trainable_.begin() + i,
                                                           [](const auto& slots) { return !slots.empty(); });
}

bool BlockRunner::IsRecomputed(int64_t i) const {
  if (!options_.checkpointing) return false;
  const int64_t blocks = options_.checkpointed_blocks;
  // Backward begins with the last sub-layer: nothing is gained by computing that one again.
  return i + 1 < SubLayers() && (blocks == 0 || i / 2 < blocks);
}

Tensor BlockRunner::Forward(int64_t i, const Tensor& x_NC, const model::ForwardContext& context,
                            ops::ForwardOutput output) const {
  const auto& forward = i % 2 == 0 ? model::AttentionForward : model::MlpForward;
  return forward(config_, weights_.blocks[static_cast<size_t>(i / 2)], x_NC, context, i / 2, output);
}

BlockRunner::SubLayerRun BlockRunner::ForwardWithGraph(int64_t i, const Tensor& x_NC,
                                                       const model::ForwardContext& context,
                                                       ops::ForwardOutput output) const {
  SubLayerRun run;
  run.input_NC = x_NC.detach().requires_grad_(TrainsBelow(i));
  run.output_NC = Forward(i, run.input_NC, context, output);
  return run;
}

Tensor BlockRunner::Uploaded(const std::vector<int64_t>& numbers) const {
  return device::Upload(torch::tensor(numbers, torch::kInt64), options_.device);
}

Tensor BlockRunner::Embed(const Tensor& ids_N) const {
  const params::UnitLease lease(units_, model::UnitOf(config_, {model::Part::kEmbedding}));
  return ops::Embed(*weights_.embedding_VC, ids_N, options_.compute);
}

Tensor BlockRunner::FinalNorm(const Tensor& x_NC) const {
  return ops::RmsNorm(x_NC, *weights_.final_norm, {config_.norm_epsilon, options_.compute});
}

Tensor BlockRunner::Hidden(const PackedRows& rows, std::vector<model::LayerCache>* cache) const {
  torch::NoGradGuard no_grad;
  model::ForwardContext context = MakeForwardContext(config_, rows, options_);
  context.cache = cache;
  Tensor x_NC = Embed(device::Upload(rows.ids_N, options_.device));
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    const params::UnitLease lease(units_, BlockUnit(layer));
    x_NC = Forward(2 * layer, x_NC, context);
    x_NC = Forward(2 * layer + 1, x_NC, context);
  }
  const params::UnitLease lease(units_, HeadUnit());
  return FinalNorm(x_NC);
}

Tensor BlockRunner::Logits(const Tensor& hidden_NC) const {
  const params::UnitLease lease(units_, HeadUnit());
  return ops::Logits(hidden_NC, *weights_.head_VC);
}

double BlockRunner::Loss(const PackedRows& rows) const {
  if (rows.targets.empty()) return 0;
  const Tensor hidden_SC = Hidden(rows, nullptr).index_select(0, Uploaded(rows.supervised_rows));
  const params::UnitLease lease(units_, HeadUnit());
  return ops::CrossEntropy(hidden_SC, *weights_.head_VC, rows.targets, {}).losses.Sum();
}

ops::TokenLosses BlockRunner::HeadBackward(const PackedRows& rows, const Tensor& x_NC, double gradient_scale,
                                           Tensor& dx_NC, const GradientSink& sink) const {
  const params::UnitLease lease(units_, HeadUnit());
  // Only supervised rows pass through norm and head: the others have neither loss nor gradient.
  const Tensor index = Uploaded(rows.supervised_rows);
  const bool below = TrainsBelow(SubLayers());
  const Tensor x_SC = x_NC.index_select(0, index).requires_grad_(below);
  const Tensor normed_SC = FinalNorm(x_SC);
  ops::LossResult loss =
      ops::CrossEntropy(normed_SC.detach(), *weights_.head_VC, rows.targets, {true, gradient_scale});
  if (loss.dhead_VC.defined()) sink(*weights_.head_VC, loss.dhead_VC);
  std::vector<Tensor> inputs;
  if (below) inputs.push_back(x_SC);
  if (weights_.final_norm->trainable()) inputs.push_back(weights_.final_norm->handle());
  if (inputs.empty()) return loss.losses;
  const std::vector<Tensor> gradients = torch::autograd::grad({normed_SC}, inputs, {loss.dhidden_SC});
  if (weights_.final_norm->trainable()) sink(*weights_.final_norm, gradients.back());
  if (below) dx_NC = torch::zeros_like(x_NC).index_copy_(0, index, gradients[0]);
  return loss.losses;
}

Tensor BlockRunner::Backward(int64_t i, const SubLayerRun& run, const Tensor& dout_NC,
                             const GradientSink& sink) const {
  const std::vector<const ops::WeightSlot*>& slots = trainable_[static_cast<size_t>(i)];
  std::vector<Tensor> inputs;
  for (const ops::WeightSlot* slot : slots) inputs.push_back(slot->handle());
  const bool below = run.input_NC.requires_grad();
  if (below) inputs.push_back(run.input_NC);
  const std::vector<Tensor> gradients = torch::autograd::grad({run.output_NC}, inputs, {dout_NC});
  for (size_t slot = 0; slot < slots.size(); ++slot) sink(*slots[slot], gradients[slot]);
  return below ? gradients.back() : Tensor();
}

Tensor BlockRunner::ForwardBlocks(Tensor x_NC, model::ForwardContext& context,
                                  std::vector<ops::SavedAttention>& saved,
                                  std::vector<SubLayerRun>& runs) const {
  for (int64_t layer = 0; layer < config_.layers; ++layer) {
    const params::UnitLease lease(units_, BlockUnit(layer));
    for (const int64_t i : {2 * layer, 2 * layer + 1}) {
      SubLayerRun& run = runs[static_cast<size_t>(i)];
      context.saved_attention = IsRecomputed(i) ? &saved : nullptr;
      if (IsRecomputed(i)) {
        torch::NoGradGuard no_grad;
        run.input_NC = x_NC;
        x_NC = Forward(i, x_NC, context);
      } else {
        run = ForwardWithGraph(i, x_NC, context, ops::ForwardOutput::kComputed);
        x_NC = run.output_NC.detach();
      }
    }
  }
  return x_NC;
}

Tensor BlockRunner::BackwardBlocks(Tensor dx_NC, model::ForwardContext& context,
                                   std::vector<ops::SavedAttention>& saved, std::vector<SubLayerRun>& runs,
                                   const GradientSink& sink) const {
  context.saved_attention = &saved;
  for (int64_t layer = config_.layers - 1; layer >= 0 && TrainsBelow(2 * layer + 2); --layer) {
    const params::UnitLease lease(units_, BlockUnit(layer));
    for (const int64_t i : {2 * layer + 1, 2 * layer}) {
      if (!TrainsBelow(i + 1)) break;
      SubLayerRun run = std::move(runs[static_cast<size_t>(i)]);
      if (IsRecomputed(i)) run = ForwardWithGraph(i, run.input_NC, context, ops::ForwardOutput::kSkipped);
      dx_NC = Backward(i, run, dx_NC, sink);
    }
  }
  return dx_NC;
}

double BlockRunner::ForwardBackward(const PackedRows& rows, std::shared_ptr<const ops::DropoutRows> dropout,
                                    double gradient_scale, const GradientSink& sink) const {
  if (rows.targets.empty()) return 0;
  model::ForwardContext context = MakeForwardContext(config_, rows, options_);
  context.dropout = std::move(dropout);
  std::vector<ops::SavedAttention> saved(static_cast<size_t>(config_.layers));
  std::vector<SubLayerRun> runs(static_cast<size_t>(SubLayers()));
  const Tensor ids_N = device::Upload(rows.ids_N, options_.device);
  const Tensor x_NC = ForwardBlocks(Embed(ids_N), context, saved, runs);
  Tensor dx_NC;
  const ops::TokenLosses losses = HeadBackward(rows, x_NC, gradient_scale, dx_NC, sink);
  dx_NC = BackwardBlocks(dx_NC, context, saved, runs, sink);
  if (weights_.embedding_VC->trainable()) {
    Tensor gradient = torch::zeros(weights_.embedding_VC->shape(), dx_NC.options());
    ops::AddEmbeddingGradient(ids_N, dx_NC, gradient);
    sink(*weights_.embedding_VC, gradient);
  }
  return losses.Sum();  // Last: on a device it waits for all that was asked.
}

}  // namespace ft::run
