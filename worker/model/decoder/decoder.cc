#include "worker/model/decoder/decoder.h"

#include <cmath>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "worker/model/ops/norm.h"

namespace ft::model {
namespace {

using torch::Tensor;

ops::LinearLayer LayerOf(const Projection& projection, const ForwardContext& context, int64_t layer) {
  ops::LinearLayer linear;
  linear.weight_OI = projection.weight.get();
  linear.bias_O = projection.bias.get();
  if (projection.adapter.has_value()) {
    linear.lora = &*projection.adapter;
    linear.dropout = {context.dropout, static_cast<uint32_t>(layer), static_cast<uint32_t>(projection.site),
                      projection.adapter->dropout};
  }
  return linear;
}

// What an epilogue makes of the outputs for these uses, in their order, of projections that read the same rows.
std::vector<Tensor> Apply(const std::vector<Projection>& projections, const Tensor& x_NI,
                          const ForwardContext& context, int64_t layer, std::initializer_list<Use> uses,
                          std::shared_ptr<const ops::Epilogue> epilogue) {
  std::vector<ops::LinearLayer> layers;
  std::vector<int64_t> widths;
  for (const Projection& projection : projections) {
    layers.push_back(LayerOf(projection, context, layer));
    widths.push_back(projection.outputs);
  }
  std::vector<ops::OutputPiece> pieces;
  for (const Use use : uses) {
    for (size_t i = 0; i < projections.size(); ++i) {
      for (const Piece& piece : projections[i].pieces) {
        if (piece.use == use)
          pieces.push_back({i, piece.offset, piece.group_stride, piece.groups, piece.length});
      }
    }
  }
  return ops::Linears(x_NI, layers,
                      ops::OverPieces(std::move(pieces), std::move(widths), std::move(epilogue)),
                      context.saved_dtype);
}

// Appends this pass's keys and values to those of the sequence and returns all of them.
std::pair<Tensor, Tensor> Extend(LayerCache& cache, const Tensor& k_NKD, const Tensor& v_NKD) {
  cache.keys_MKD = cache.keys_MKD.defined() ? at::cat({cache.keys_MKD, k_NKD}) : k_NKD;
  cache.values_MKD = cache.values_MKD.defined() ? at::cat({cache.values_MKD, v_NKD}) : v_NKD;
  return {cache.keys_MKD, cache.values_MKD};
}

struct QueriesKeysValues {
  Tensor q_NHD, k_NKD, v_NKD;
};

// Queries and keys normed head by head, and then rotated: neither is rounded before both are done.
QueriesKeysValues NormHeads(const DecoderConfig& config, const SubLayerWeights& weights,
                            const std::vector<Tensor>& qkv_NO, const ForwardContext& context,
                            const ops::RopeTable* rope) {
  const int64_t rows = qkv_NO[0].size(0), size = config.head_size;
  const auto normed = [&](const Tensor& y_NO, const NormWeights& norm) {
    const Tensor heads = ops::RmsNorm(
        y_NO.reshape({-1, size}), *norm.weight,
        {.epsilon = config.norm_epsilon, .output = at::kFloat, .plus_one = config.norm_plus_one});
    const Tensor heads_NHD = heads.view({rows, -1, size});
    return (rope == nullptr ? heads_NHD : ops::Rotate(heads_NHD, *rope)).to(context.compute);
  };
  return {normed(qkv_NO[0], weights.query_norm), normed(qkv_NO[1], weights.key_norm),
          qkv_NO[2].view({rows, -1, size}).to(context.compute)};
}

QueriesKeysValues Project(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_NC,
                          const ForwardContext& context, int64_t layer) {
  const int table = config.PlanOf(layer).rotary;
  const ops::RopeTable* rope =
      table == LayerPlan::kNoRotary ? nullptr : &context.ropes[static_cast<size_t>(table)];
  const std::initializer_list<Use> uses = {Use::kQuery, Use::kKey, Use::kValue};
  if (config.head_norms) {
    const std::vector<Tensor> qkv_NO =
        Apply(weights.inputs, x_NC, context, layer, uses, std::make_shared<ops::UnroundedEpilogue>());
    return NormHeads(config, weights, qkv_NO, context, rope);
  }
  const bool turns = rope != nullptr;
  const std::vector<ops::HeadsOfLayer> heads = {
      {config.heads, turns}, {config.key_heads, turns}, {config.key_heads, false}};
  const std::vector<Tensor> qkv =
      Apply(weights.inputs, x_NC, context, layer, uses,
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
  if (context.cache != nullptr) std::tie(k_MKD, v_MKD) = Extend(context.cache->at(layer), k_MKD, v_MKD);
  ops::SavedAttention* saved =
      context.saved_attention == nullptr ? nullptr : &context.saved_attention->at(layer);
  ops::AttentionShape shape = context.attention;
  shape.window = config.PlanOf(layer).window;
  return ops::CausalAttention(q_NHD, k_MKD, v_MKD, shape, saved)
      .view({rows, config.heads * config.head_size});
}

std::shared_ptr<const ops::Epilogue> GateOf(const DecoderConfig& config) {
  using Kind = ops::ActivationEpilogue::Kind;
  switch (config.activation) {
    case Activation::kGelu: return std::make_shared<ops::ActivationEpilogue>(Kind::kGelu);
    case Activation::kGeluTanh: return std::make_shared<ops::ActivationEpilogue>(Kind::kGeluTanh);
    case Activation::kSilu: break;
  }
  if (!config.gated) return std::make_shared<ops::ActivationEpilogue>(Kind::kSilu);
  return std::make_shared<ops::GateEpilogue>();
}

// The input of the down projection.
Tensor Mlp(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_NC,
           const ForwardContext& context, int64_t layer) {
  if (!config.gated) return Apply(weights.inputs, x_NC, context, layer, {Use::kUp}, GateOf(config))[0];
  return Apply(weights.inputs, x_NC, context, layer, {Use::kGate, Use::kUp}, GateOf(config))[0];
}

// x + the output projection of `inner`. With a norm behind it the projection is computed whatever the caller reads: the norm's
// gradient needs it.
Tensor AddOutput(const DecoderConfig& config, const SubLayerWeights& weights, const Tensor& x_NC,
                 const Tensor& inner_NI, const ForwardContext& context, int64_t layer,
                 ops::ForwardOutput output, at::ScalarType saved_dtype) {
  const ops::LinearLayer linear = LayerOf(weights.output, context, layer);
  if (!config.norm_behind) return ops::AddLinear(x_NC, inner_NI, linear, output, saved_dtype);
  const std::vector<Tensor> y =
      ops::Linears(inner_NI, {linear}, std::make_shared<ops::UnroundedEpilogue>(), saved_dtype);
  return x_NC + ApplyNorm(config, weights.behind, y[0], at::kFloat);
}

SubLayerWeights& SubLayerOf(BlockWeights& block, Use use) {
  return use == Use::kGate || use == Use::kUp || use == Use::kDown ? block.mlp : block.attention;
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
    default: return block.attention.key_norm;
  }
}

}  // namespace

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
    SubLayerWeights& sub_layer = SubLayerOf(weights.blocks[static_cast<size_t>(stored.role.layer)], use);
    if (use == Use::kAttentionOut || use == Use::kDown) {
      sub_layer.output = std::move(projection);
    } else {
      sub_layer.inputs.push_back(std::move(projection));
    }
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
                 at::ScalarType output) {
  return ops::RmsNorm(x_NC, *weights.weight,
                      {.epsilon = config.norm_epsilon,
                       .output = output,
                       .plus_one = config.norm_plus_one,
                       .centred = config.norm == NormKind::kLayer,
                       .bias_C = weights.bias.get()});
}

Tensor AttentionForward(const DecoderConfig& config, const BlockWeights& weights, const Tensor& x_NC,
                        const ForwardContext& context, int64_t layer, ops::ForwardOutput output) {
  const Tensor normed_NC = ApplyNorm(config, weights.attention.norm, x_NC, context.compute);
  const Tensor heads_NA = Attention(config, weights.attention, normed_NC, context, layer);
  // Attention saves its result as it is, and the projection behind it the same tensor.
  return AddOutput(config, weights.attention, x_NC, heads_NA, context, layer, output, context.compute);
}

Tensor MlpForward(const DecoderConfig& config, const BlockWeights& weights, const Tensor& x_NC,
                  const ForwardContext& context, int64_t layer, ops::ForwardOutput output) {
  const Tensor normed_NC = ApplyNorm(config, weights.mlp.norm, x_NC, context.compute);
  const Tensor gated_NI = Mlp(config, weights.mlp, normed_NC, context, layer);
  return AddOutput(config, weights.mlp, x_NC, gated_NI, context, layer, output, context.saved_dtype);
}

}  // namespace ft::model
