#include "worker/model/decoder/decoder.h"

#include <cmath>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/model/ops/norm.h"

namespace ft::model {
namespace {

using torch::Tensor;

ops::LinearLayer LayerOf(const BlockWeights& weights, const ForwardContext& context, int64_t layer,
                         Site site) {
  const Projection& projection = weights.projection[site];
  ops::LinearLayer linear;
  linear.weight_OI = projection.weight.get();
  linear.bias_O = projection.bias.get();
  if (projection.adapter.has_value()) {
    linear.lora = &*projection.adapter;
    linear.dropout = {context.dropout, static_cast<uint32_t>(layer), static_cast<uint32_t>(site),
                      projection.adapter->dropout};
  }
  return linear;
}

// What an epilogue makes of projections that read the same rows.
std::vector<Tensor> Apply(const BlockWeights& weights, const Tensor& x_NI, const ForwardContext& context,
                          int64_t layer, std::initializer_list<Site> sites,
                          std::shared_ptr<const ops::Epilogue> epilogue) {
  std::vector<ops::LinearLayer> layers;
  for (const Site site : sites) layers.push_back(LayerOf(weights, context, layer, site));
  return ops::Linears(x_NI, layers, std::move(epilogue), context.saved_dtype);
}

// Appends this pass's keys and values to those of the sequence and returns all of them.
std::pair<Tensor, Tensor> Extend(LayerCache& cache, const Tensor& k_NKD, const Tensor& v_NKD) {
  cache.keys_MKD = cache.keys_MKD.defined() ? at::cat({cache.keys_MKD, k_NKD}) : k_NKD;
  cache.values_MKD = cache.values_MKD.defined() ? at::cat({cache.values_MKD, v_NKD}) : v_NKD;
  return {cache.keys_MKD, cache.values_MKD};
}

// The input of the output projection.
Tensor Attention(const DecoderConfig& config, const BlockWeights& weights, const Tensor& x_NC,
                 const ForwardContext& context, int64_t layer) {
  const int64_t rows = x_NC.size(0);
  const std::vector<ops::HeadsOfLayer> heads = {
      {config.heads, true}, {config.key_heads, true}, {config.key_heads, false}};
  const std::vector<Tensor> qkv = Apply(weights, x_NC, context, layer, {kQuery, kKey, kValue},
                                        std::make_shared<ops::RotaryEpilogue>(context.rope, heads));
  Tensor k_MKD = qkv[1], v_MKD = qkv[2];
  if (context.cache != nullptr) std::tie(k_MKD, v_MKD) = Extend(context.cache->at(layer), k_MKD, v_MKD);
  ops::SavedAttention* saved =
      context.saved_attention == nullptr ? nullptr : &context.saved_attention->at(layer);
  return ops::CausalAttention(qkv[0], k_MKD, v_MKD, context.attention, saved)
      .view({rows, config.heads * config.head_size});
}

// The input of the down projection.
Tensor Mlp(const BlockWeights& weights, const Tensor& x_NC, const ForwardContext& context, int64_t layer) {
  return Apply(weights, x_NC, context, layer, {kGate, kUp}, std::make_shared<ops::GateEpilogue>())[0];
}

}  // namespace

DecoderWeights MakeStructure(const DecoderConfig& config, const Layout& layout) {
  constexpr std::string_view kWeight = ".weight";
  DecoderWeights weights;
  weights.blocks.resize(static_cast<size_t>(config.layers));
  for (const StoredWeight& stored : layout) {
    if (stored.role.part != Part::kProjection) continue;
    Projection& projection =
        weights.blocks[static_cast<size_t>(stored.role.layer)].projection[stored.role.site];
    projection.module = stored.name.substr(0, stored.name.size() - kWeight.size());
    projection.outputs = stored.shape[0];
    projection.inputs = stored.shape[1];
  }
  return weights;
}

void AssignWeight(const DecoderConfig& config, const Role& role, ops::SlotPtr slot, DecoderWeights& weights) {
  const auto block = [&]() -> BlockWeights& { return weights.blocks[static_cast<size_t>(role.layer)]; };
  switch (role.part) {
    case Part::kEmbedding:
      if (config.tied_head) weights.head_VC = slot;
      weights.embedding_VC = std::move(slot);
      return;
    case Part::kAttentionNorm: block().attention_norm = std::move(slot); return;
    case Part::kMlpNorm: block().mlp_norm = std::move(slot); return;
    case Part::kProjection: block().projection[role.site].weight = std::move(slot); return;
    case Part::kBias: block().projection[role.site].bias = std::move(slot); return;
    case Part::kFinalNorm: weights.final_norm = std::move(slot); return;
    case Part::kHead: weights.head_VC = std::move(slot); return;
  }
}

Tensor AttentionForward(const DecoderConfig& config, const BlockWeights& weights, const Tensor& x_NC,
                        const ForwardContext& context, int64_t layer, ops::ForwardOutput output) {
  const Tensor normed_NC =
      ops::RmsNorm(x_NC, *weights.attention_norm, {config.norm_epsilon, context.compute});
  const Tensor heads_NA = Attention(config, weights, normed_NC, context, layer);
  // Attention saves its result as it is, and the projection behind it the same tensor.
  return ops::AddLinear(x_NC, heads_NA, LayerOf(weights, context, layer, kOutput), output, context.compute);
}

Tensor MlpForward(const DecoderConfig& config, const BlockWeights& weights, const Tensor& x_NC,
                  const ForwardContext& context, int64_t layer, ops::ForwardOutput output) {
  const Tensor normed_NC = ops::RmsNorm(x_NC, *weights.mlp_norm, {config.norm_epsilon, context.compute});
  const Tensor gated_NI = Mlp(weights, normed_NC, context, layer);
  return ops::AddLinear(x_NC, gated_NI, LayerOf(weights, context, layer, kDown), output, context.saved_dtype);
}

}  // namespace ft::model
