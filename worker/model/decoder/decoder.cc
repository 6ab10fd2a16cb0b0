#include "worker/model/decoder/decoder.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "worker/model/decoder/experts.h"
#include "worker/model/decoder/latent.h"
#include "worker/model/decoder/projection.h"
#include "worker/model/ops/norm.h"

namespace ft::model {
namespace {

using torch::Tensor;

// `rows` goes on with `fresh` behind the first `count`, in a larger tensor where it has no room left; all of them.
Tensor Extend(Tensor& rows, int64_t count, const Tensor& fresh) {
  const int64_t all = count + fresh.size(0);
  if (!rows.defined() || rows.size(0) < all) {
    constexpr int64_t kLeastRoom = 64;
    const Tensor larger =
        at::empty({all + std::max(all / 4, kLeastRoom), fresh.size(1), fresh.size(2)}, fresh.options());
    if (count > 0) larger.narrow(0, 0, count).copy_(rows.narrow(0, 0, count));
    rows = larger;
  }
  rows.narrow(0, count, fresh.size(0)).copy_(fresh);
  return rows.narrow(0, 0, all);
}

// Queries and keys normed head by head, and then rotated: neither is rounded before both are done.
QueriesKeysValues NormHeads(const DecoderConfig& config, const SubLayerWeights& weights,
                            const std::vector<Tensor>& qkv_NO, const ForwardContext& context,
                            const ops::RopeTable* rope, int64_t size) {
  const int64_t rows = qkv_NO[0].size(0);
  const auto normed = [&](const Tensor& y_NO, const NormWeights& norm) {
    const Tensor heads = ops::RmsNorm(
        config.norm_all_heads ? y_NO : y_NO.reshape({-1, size}), *norm.weight,
        {.epsilon = config.norm_epsilon, .output = at::kFloat, .plus_one = config.norm_plus_one});
    return heads.view({rows, -1, size});
  };
  Tensor q_NHD = normed(qkv_NO[0], weights.query_norm), k_NHD = normed(qkv_NO[1], weights.key_norm);
  if (rope != nullptr) std::tie(q_NHD, k_NHD) = ops::Rotate(q_NHD, k_NHD, *rope);
  Tensor v_NHD = qkv_NO.back().view({rows, -1, size});
  if (config.value_norms)
    v_NHD = v_NHD * at::rsqrt(v_NHD.square().mean(-1, /*keepdim=*/true) + config.norm_epsilon);
  return {q_NHD.to(context.compute), k_NHD.to(context.compute), v_NHD.to(context.compute)};
}

QueriesKeysValues Project(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_NC,
                          const ForwardContext& context, int64_t layer) {
  const int table = config.PlanOf(layer).rotary;
  const ops::RopeTable* rope =
      table == LayerPlan::kNoRotary ? nullptr : &context.ropes[static_cast<size_t>(table)];
  if (config.latent.width > 0) return ProjectLatent(config, weights, x_NC, context, layer);
  // Where values are keys, the last output is both.
  const std::initializer_list<Use> uses = {Use::kQuery, Use::kKey, Use::kValue};
  if (config.head_norms) {
    const std::vector<Tensor> qkv_NO = ApplyProjections(weights.inputs, x_NC, context, layer, uses,
                                                        std::make_shared<ops::UnroundedEpilogue>());
    return NormHeads(config, weights, qkv_NO, context, rope, config.HeadSizeOf(layer));
  }
  const bool turns = rope != nullptr;
  const std::vector<ops::HeadsOfLayer> heads = {
      {config.heads, turns}, {config.KeyHeadsOf(layer), turns}, {config.KeyHeadsOf(layer), false}};
  const std::vector<Tensor> qkv =
      ApplyProjections(weights.inputs, x_NC, context, layer, uses,
                       std::make_shared<ops::RotaryEpilogue>(turns ? *rope : ops::RopeTable(), heads));
  return {qkv[0], qkv[1], qkv[2]};
}

// The input of the output projection.
Tensor Attention(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_NC,
                 const ForwardContext& context, int64_t layer) {
  const int64_t rows = x_NC.size(0);
  auto [q_NHD, k_MKD, v_MKD] = Project(config, weights, x_NC, context, layer);
  if (context.query_scale_N.defined()) {
    const Tensor scale = context.query_scale_N.to(q_NHD.device()).view({rows, 1, 1});
    q_NHD = (q_NHD * scale).to(context.compute);
  }
  if (context.cache != nullptr) std::tie(k_MKD, v_MKD) = context.cache->at(layer).Append(k_MKD, v_MKD);
  ops::SavedAttention* saved =
      context.saved_attention == nullptr ? nullptr : &context.saved_attention->at(layer);
  ops::AttentionShape shape = context.attention;
  shape.window = config.PlanOf(layer).window;
  shape.sinks_H = weights.sinks_H.get();
  const Tensor out_NHD = ops::CausalAttention(q_NHD, k_MKD, v_MKD, shape, saved);
  const int64_t size = config.ValueSizeOf(layer);
  // What lies behind values that are shorter than keys is zeros.
  return (size == config.HeadSizeOf(layer) ? out_NHD : out_NHD.narrow(2, 0, size))
      .reshape({rows, config.heads * size});
}

// A sub-layer's input as its products read it. Rows that a router reads too have no room: that is for layers that read them alone.
Tensor InputOf(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_NC,
               const ForwardContext& context) {
  if (!config.norm_before) return x_NC.to(context.compute);
  const int64_t room =
      weights.experts.empty() ? RoomBehind(weights.inputs, context.compute, x_NC.device()) : 0;
  return ApplyNorm(config, weights.norm, x_NC, context.compute, room);
}

// x + a sub-layer's result, which is float32.
Tensor AddResult(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_NC,
                 const Tensor& y_NC) {
  const Tensor added_NC = config.norm_behind ? ApplyNorm(config, weights.behind, y_NC, at::kFloat) : y_NC;
  return config.residual_scale == 1 ? x_NC + added_NC : x_NC + added_NC * config.residual_scale;
}

// x + the output projection of `inner`. With a norm behind it the projection is computed whatever the caller reads: the norm's
// gradient needs it.
Tensor AddOutput(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_NC,
                 const Tensor& inner_NI, const ForwardContext& context, int64_t layer,
                 ops::ForwardOutput output, at::ScalarType saved_dtype) {
  if (!config.norm_behind && config.residual_scale == 1)
    return ops::AddLinear(x_NC, inner_NI, LayerOf(weights.output, context, layer), output, saved_dtype);
  return AddResult(config, weights, x_NC, Unrounded(weights.output, inner_NI, context, layer, saved_dtype));
}

// Where the structure has a product of this role and use.
void Insert(const Role& role, Use use, Projection projection, BlockWeights& block) {
  if (use == Use::kRouter) {
    block.mlp.router = std::move(projection);
    return;
  }
  if (use == Use::kPlainKey) {
    block.attention.from_latent = {std::move(projection)};
    return;
  }
  const bool of_mlp = use == Use::kGate || use == Use::kUp || use == Use::kDown;
  SubLayerWeights& sub_layer = of_mlp ? block.mlp : block.attention;
  std::vector<Projection>* inputs = &sub_layer.inputs;
  Projection* output = &sub_layer.output;
  if (role.expert != kNoExpert) {
    const auto expert = static_cast<size_t>(role.expert);
    if (expert >= sub_layer.experts.size()) sub_layer.experts.resize(expert + 1);
    inputs = &sub_layer.experts[expert].inputs;
    output = &sub_layer.experts[expert].output;
  }
  if (use == Use::kAttentionOut || use == Use::kDown) {
    *output = std::move(projection);
  } else {
    inputs->push_back(std::move(projection));
  }
}

NormWeights& NormOf(DecoderWeights& weights, const Role& role) {
  if (role.part == Part::kFinalNorm) return weights.final_norm;
  BlockWeights& block = weights.blocks[static_cast<size_t>(role.layer)];
  switch (role.part) {
    case Part::kAttentionNorm: return block.attention.norm;
    case Part::kAttentionBehind: return block.attention.behind;
    case Part::kMlpNorm: return block.mlp.norm;
    case Part::kMlpBehind: return block.mlp.behind;
    case Part::kQueryNorm: return block.attention.query_norm;
    case Part::kLatentNorm: return block.attention.latent_norm;
    default: return block.attention.key_norm;
  }
}

}  // namespace

std::pair<Tensor, Tensor> LayerCache::Append(const Tensor& k_NKD, const Tensor& v_NKD) {
  std::pair<Tensor, Tensor> all{Extend(keys_, tokens_, k_NKD), Extend(values_, tokens_, v_NKD)};
  tokens_ += k_NKD.size(0);
  return all;
}

DecoderWeights MakeStructure(const DecoderConfig& config, const Layout& layout) {
  constexpr std::string_view kWeight = ".weight";
  DecoderWeights weights;
  weights.blocks.resize(static_cast<size_t>(config.layers));
  for (const StoredWeight& stored : layout) {
    if (stored.role.part != Part::kProjection || stored.role.bias) continue;
    Projection projection{.module = stored.name.substr(0, stored.name.size() - kWeight.size()),
                          .inputs = stored.shape[1],
                          .outputs = stored.shape[0],
                          .site = stored.role.site,
                          .pieces = stored.pieces};
    const Use use = stored.pieces.front().use;
    projection.adapted = use != Use::kRouter || config.experts.adapted_router;
    Insert(stored.role, use, std::move(projection), weights.blocks[static_cast<size_t>(stored.role.layer)]);
  }
  return weights;
}

void AssignWeight(const DecoderConfig& config, const Role& role, ops::SlotPtr slot, DecoderWeights& weights) {
  switch (role.part) {
    case Part::kEmbedding:
      if (config.tied_head) weights.head_VC = slot;
      weights.embedding_VC = std::move(slot);
      return;
    case Part::kPositions: weights.positions_PC = std::move(slot); return;
    case Part::kHead: weights.head_VC = std::move(slot); return;
    case Part::kSinks:
      weights.blocks[static_cast<size_t>(role.layer)].attention.sinks_H = std::move(slot);
      return;
    case Part::kLayerScalar: weights.blocks[static_cast<size_t>(role.layer)].scalar = std::move(slot); return;
    case Part::kProjection:
      VisitProjections(weights.blocks[static_cast<size_t>(role.layer)], [&](Projection& projection) {
        if (projection.site == role.site) (role.bias ? projection.bias : projection.weight) = slot;
      });
      return;
    default: {
      NormWeights& norm = NormOf(weights, role);
      (role.bias ? norm.bias : norm.weight) = std::move(slot);
    }
  }
}

Tensor ApplyNorm(const DecoderConfig& config, const NormWeights& weights, const Tensor& x_NC,
                 at::ScalarType output, int64_t room) {
  return ops::RmsNorm(x_NC, *weights.weight,
                      {.epsilon = config.norm_epsilon,
                       .output = output,
                       .plus_one = config.norm_plus_one,
                       .centred = config.norm == NormKind::kLayer,
                       .bias_C = weights.bias.get(),
                       .room = room});
}

Tensor AttentionForward(const DecoderConfig& config, const BlockWeights& weights, const Tensor& x_NC,
                        const ForwardContext& context, int64_t layer, ops::ForwardOutput output) {
  const Tensor normed_NC = InputOf(config, weights.attention, x_NC, context);
  const Tensor heads_NA = Attention(config, weights.attention, normed_NC, context, layer);
  // Attention saves its result as it is, and the projection behind it the same tensor.
  return AddOutput(config, weights.attention, x_NC, heads_NA, context, layer, output, context.compute);
}

Tensor MlpForward(const DecoderConfig& config, const BlockWeights& weights, const Tensor& x_NC,
                  const ForwardContext& context, int64_t layer, ops::ForwardOutput output) {
  const Tensor normed_NC = InputOf(config, weights.mlp, x_NC, context);
  Tensor y_NC;
  if (!weights.mlp.experts.empty()) {
    y_NC =
        AddResult(config, weights.mlp, x_NC, ExpertsForward(config, weights.mlp, normed_NC, context, layer));
  } else {
    const Tensor gated_NI =
        GateAndUp(config, weights.mlp.inputs, weights.mlp.output, normed_NC, context, layer);
    y_NC = AddOutput(config, weights.mlp, x_NC, gated_NI, context, layer, output, context.saved_dtype);
  }
  if (weights.scalar == nullptr) return y_NC;
  // A copy, since it waits for backward, which no weight may.
  return y_NC * weights.scalar->Materialise(at::kFloat).clone();
}

}  // namespace ft::model
