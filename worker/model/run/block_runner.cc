#include "worker/model/run/block_runner.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "worker/device/staging.h"
#include "worker/model/decoder/rope_angles.h"

namespace ft::run {
namespace {

using torch::Tensor;

// Every trainable slot of a sub-layer once, in the order of its structure.
std::vector<const ops::WeightSlot*> TrainableSlots(const model::SubLayerWeights& weights) {
  std::vector<const ops::WeightSlot*> slots;
  const auto add = [&](const ops::SlotPtr& slot) {
    if (slot != nullptr && slot->trainable()) slots.push_back(slot.get());
  };
  for (const model::NormWeights* norm :
       {&weights.norm, &weights.query_norm, &weights.key_norm, &weights.latent_norm, &weights.behind}) {
    add(norm->weight);
    add(norm->bias);
  }
  add(weights.sinks_H);
  const auto projection = [&](const model::Projection& projection) {
    add(projection.weight);
    add(projection.bias);
    if (!projection.adapter.has_value()) return;
    add(projection.adapter->a_RI);
    add(projection.adapter->b_OR);
    add(projection.adapter->magnitude_O);
  };
  for (const model::Projection& input : weights.inputs) projection(input);
  for (const model::Projection& made : weights.from_latent) projection(made);
  projection(weights.output);
  projection(weights.router);
  for (const model::ExpertWeights& expert : weights.experts) {
    for (const model::Projection& input : expert.inputs) projection(input);
    projection(expert.output);
  }
  return slots;
}

model::ForwardContext MakeForwardContext(const model::DecoderConfig& config, const PackedRows& rows,
                                         const RunnerOptions& options, model::Mode mode, RopeTables& ropes) {
  const double scale =
      config.score_scale > 0 ? config.score_scale : 1.0 / std::sqrt(static_cast<double>(config.head_size));
  model::ForwardContext context{.compute = options.compute,
                                .saved_dtype = options.saved_dtype,
                                .ropes = ropes.Of(rows, mode),
                                .attention = ops::MakeAttentionShape(rows.segments, scale, options.device)};
  context.attention.cap = config.score_cap;
  if (config.alibi) {
    context.attention.slopes = std::make_shared<const std::vector<float>>(model::AlibiSlopes(config.heads));
  }
  if (mode == model::Mode::kInference) {
    const Tensor scale_N = model::QueryScale(config, rows.position_N);
    if (scale_N.defined()) context.query_scale_N = device::Upload(scale_N, options.device);
  }
  return context;
}

// Null where the routers have no loss of their own.
std::shared_ptr<model::RouterBalance> BalanceOf(const model::DecoderConfig& config, const PackedRows& rows) {
  const model::Experts& experts = config.experts;
  if (experts.count == 0 || experts.balance == model::Experts::Balance::kNone) return nullptr;
  return std::make_shared<model::RouterBalance>(experts, config.layers, rows.segments);
}

// What the routers' loss adds to the sum of token losses: it stands beside their mean, so it counts once for each of them. From now on
// its gradient, gradient_scale times, is part of the routers'.
double BalanceLoss(const model::DecoderConfig& config, const PackedRows& rows,
                   const model::ForwardContext& context, double gradient_scale) {
  if (context.balance == nullptr) return 0;
  const auto tokens = static_cast<double>(rows.targets.size());
  const double loss = context.balance->Finish(gradient_scale * tokens);
  return config.experts.balance == model::Experts::Balance::kModel ? loss * tokens : 0;
}

}  // namespace

struct BlockRunner::SubLayerRun {
  Tensor input_NC;   // A leaf of the graph; asks for a gradient where something below trains.
  Tensor output_NC;  // With its graph.
};

BlockRunner::BlockRunner(const model::DecoderConfig& config, const model::DecoderWeights& weights,
                         params::UnitStore& units, RunnerOptions options)
    : config_(config), weights_(weights), units_(units), options_(options), ropes_(config, options.device) {
  for (const model::BlockWeights& block : weights.blocks) {
    trainable_.push_back(TrainableSlots(block.attention));
    trainable_.push_back(TrainableSlots(block.mlp));
  }
}

bool BlockRunner::TrainsBelow(int64_t i) const {
  const bool positions = weights_.positions_PC != nullptr && weights_.positions_PC->trainable();
  return weights_.embedding_VC->trainable() || positions ||
         std::any_of(trainable_.begin(), trainable_.begin() + i,
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

Tensor BlockRunner::Embed(const PackedRows& rows) const {
  const params::UnitLease lease(units_, EmbeddingUnit());
  Tensor x_NC =
      ops::Embed(*weights_.embedding_VC, device::Upload(rows.ids_N, options_.device), options_.compute);
  if (config_.embedding_scale != 1) x_NC.mul_(config_.embedding_scale);
  if (weights_.positions_PC != nullptr) {
    x_NC.add_(ops::Embed(*weights_.positions_PC, Positions(rows), options_.compute));
  }
  return x_NC;
}

Tensor BlockRunner::Positions(const PackedRows& rows) const {
  const int64_t most = weights_.positions_PC->shape()[0];
  for (const int64_t position : rows.position_N) {
    TORCH_CHECK(position < most, "an input of more than ", most,
                " tokens is longer than this model's table of ",
                "positions: lower train.max_length, or shorten the conversation");
  }
  return Uploaded(rows.position_N);
}

void BlockRunner::EmbeddingGradients(const PackedRows& rows, const Tensor& dx_NC,
                                     params::GradientSink& sink) const {
  // Of the table's rows that were read alone: a pass reads few of them.
  const auto add = [&](const ops::SlotPtr& table, const Tensor& index_N, double scale) {
    if (table == nullptr || !table->trainable()) return;
    const auto [row_U, place_N, counts] = at::_unique2(index_N, /*sorted=*/true, /*return_inverse=*/true);
    Tensor gradient_UC = torch::zeros({row_U.size(0), dx_NC.size(1)}, dx_NC.options().dtype(torch::kFloat));
    ops::AddEmbeddingGradient(device::Upload(place_N, options_.device), scale == 1 ? dx_NC : dx_NC * scale,
                              gradient_UC);
    sink.AddRows(table->index(), device::Upload(row_U, options_.device), gradient_UC);
  };
  add(weights_.embedding_VC, rows.ids_N, config_.embedding_scale);
  add(weights_.positions_PC, torch::tensor(rows.position_N, torch::kInt64), 1);
}

Tensor BlockRunner::FinalNorm(const Tensor& x_NC) const {
  if (config_.logit_scale == 1) return model::ApplyNorm(config_, weights_.final_norm, x_NC, options_.compute);
  // The head is linear: what its input is multiplied by, the logits are.
  return (model::ApplyNorm(config_, weights_.final_norm, x_NC, at::kFloat) * config_.logit_scale)
      .to(options_.compute);
}

ops::Head BlockRunner::Head() const {
  return {*weights_.head_VC, config_.normalised_head, config_.logit_cap};
}

Tensor BlockRunner::Hidden(const PackedRows& rows, std::vector<model::LayerCache>* cache,
                           model::Mode mode) const {
  model::ForwardContext context = MakeForwardContext(config_, rows, options_, mode, ropes_);
  context.cache = cache;
  return HiddenOf(rows, context);
}

Tensor BlockRunner::HiddenOf(const PackedRows& rows, const model::ForwardContext& context) const {
  torch::NoGradGuard no_grad;
  Tensor x_NC = Embed(rows);
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
  return ops::Logits(hidden_NC, Head());
}

double BlockRunner::Loss(const PackedRows& rows, model::Mode mode) const {
  if (rows.targets.empty()) {
    EmptyForward();
    return 0;
  }
  model::ForwardContext context = MakeForwardContext(config_, rows, options_, mode, ropes_);
  if (mode == model::Mode::kTraining) context.balance = BalanceOf(config_, rows);
  const Tensor hidden_SC = HiddenOf(rows, context).index_select(0, Uploaded(rows.supervised_rows));
  const params::UnitLease lease(units_, HeadUnit());
  return ops::CrossEntropy(hidden_SC, Head(), rows.targets, {}).losses.Sum() +
         BalanceLoss(config_, rows, context, 0);
}

ops::TokenLosses BlockRunner::HeadBackward(const PackedRows& rows, const Tensor& x_NC, double gradient_scale,
                                           Tensor& dx_NC, params::GradientSink& sink) const {
  const params::UnitLease lease(units_, HeadUnit());
  // Only supervised rows pass through norm and head: the others have neither loss nor gradient.
  const Tensor index = Uploaded(rows.supervised_rows);
  const bool below = TrainsBelow(SubLayers());
  const Tensor x_SC = x_NC.index_select(0, index).requires_grad_(below);
  const Tensor normed_SC = FinalNorm(x_SC);
  const Tensor room_VC = weights_.head_VC->trainable() ? sink.Room(weights_.head_VC->index()) : Tensor();
  ops::LossResult loss =
      ops::CrossEntropy(normed_SC.detach(), Head(), rows.targets, {true, gradient_scale, room_VC});
  if (loss.dhead_VC.defined() && !room_VC.defined()) sink.Add(weights_.head_VC->index(), loss.dhead_VC);
  std::vector<Tensor> inputs;
  if (below) inputs.push_back(x_SC);
  std::vector<const ops::WeightSlot*> norm;
  for (const ops::SlotPtr& slot : {weights_.final_norm.weight, weights_.final_norm.bias}) {
    if (slot != nullptr && slot->trainable()) norm.push_back(slot.get());
  }
  for (const ops::WeightSlot* slot : norm) inputs.push_back(slot->handle());
  if (inputs.empty()) return loss.losses;
  const std::vector<Tensor> gradients = torch::autograd::grad({normed_SC}, inputs, {loss.dhidden_SC});
  for (size_t i = 0; i < norm.size(); ++i) sink.Add(norm[i]->index(), gradients[i + (below ? 1 : 0)]);
  if (below) dx_NC = torch::zeros_like(x_NC).index_copy_(0, index, gradients[0]);
  return loss.losses;
}

Tensor BlockRunner::Backward(int64_t i, const SubLayerRun& run, const Tensor& dout_NC,
                             params::GradientSink& sink) const {
  const std::vector<const ops::WeightSlot*>& slots = trainable_[static_cast<size_t>(i)];
  std::vector<Tensor> inputs;
  for (const ops::WeightSlot* slot : slots) inputs.push_back(slot->handle());
  const bool below = run.input_NC.requires_grad();
  if (below) inputs.push_back(run.input_NC);
  const std::vector<Tensor> gradients =
      torch::autograd::grad({run.output_NC}, inputs, {dout_NC}, std::nullopt, /*create_graph=*/false,
                            /*allow_unused=*/i % 2 == 1 && config_.PlanOf(i / 2).experts);
  for (size_t slot = 0; slot < slots.size(); ++slot) {
    if (gradients[slot].defined()) sink.Add(slots[slot]->index(), gradients[slot]);
  }
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
                                   params::GradientSink& sink) const {
  context.saved_attention = &saved;
  for (int64_t layer = config_.layers - 1; layer >= 0 && TrainsBelow(2 * layer + 2); --layer) {
    const params::UnitLease lease(units_, BlockUnit(layer));
    for (const int64_t i : {2 * layer + 1, 2 * layer}) {
      if (!TrainsBelow(i + 1)) break;
      SubLayerRun run = std::move(runs[static_cast<size_t>(i)]);
      if (IsRecomputed(i)) run = ForwardWithGraph(i, run.input_NC, context, ops::ForwardOutput::kSkipped);
      dx_NC = Backward(i, run, dx_NC, sink);
    }
    sink.EndUnit(BlockUnit(layer));
  }
  return dx_NC;
}

plan::PassShape BlockRunner::shape() const {
  plan::PassShape shape{.blocks = static_cast<int>(config_.layers), .head = HeadUnit(), .lowest_block = 1};
  while (shape.lowest_block <= shape.blocks && !TrainsBelow(2 * shape.lowest_block)) ++shape.lowest_block;
  return shape;
}

void BlockRunner::EmptyPass(params::GradientSink& sink) const {
  for (const plan::Visit& visit : plan::TrainingPass(shape())) {
    { const params::UnitLease lease(units_, visit.unit); }
    if (visit.ends_unit) sink.EndUnit(visit.unit);
  }
  sink.EndUnit(EmbeddingUnit());
}

void BlockRunner::EmptyForward() const {
  for (const plan::Visit& visit : plan::ForwardPass(shape()))
    const params::UnitLease lease(units_, visit.unit);
}

double BlockRunner::ForwardBackward(const PackedRows& rows, std::shared_ptr<const ops::DropoutRows> dropout,
                                    double gradient_scale, params::GradientSink& sink) const {
  if (rows.targets.empty()) {
    EmptyPass(sink);
    return 0;
  }
  model::ForwardContext context = MakeForwardContext(config_, rows, options_, model::Mode::kTraining, ropes_);
  context.dropout = std::move(dropout);
  context.balance = BalanceOf(config_, rows);
  std::vector<ops::SavedAttention> saved(static_cast<size_t>(config_.layers));
  std::vector<SubLayerRun> runs(static_cast<size_t>(SubLayers()));
  const Tensor x_NC = ForwardBlocks(Embed(rows), context, saved, runs);
  const double balance = BalanceLoss(config_, rows, context, gradient_scale);
  options_.before_backward();
  Tensor dx_NC;
  const ops::TokenLosses losses = HeadBackward(rows, x_NC, gradient_scale, dx_NC, sink);
  // A tied head is of the embedding's unit, which ends last.
  if (HeadUnit() != EmbeddingUnit()) sink.EndUnit(HeadUnit());
  dx_NC = BackwardBlocks(dx_NC, context, saved, runs, sink);
  if (dx_NC.defined()) EmbeddingGradients(rows, dx_NC, sink);
  sink.EndUnit(EmbeddingUnit());
  return losses.Sum() + balance;  // Last: on a device it waits for all that was asked.
}

}  // namespace ft::run
