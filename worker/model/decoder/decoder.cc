#include "worker/model/decoder/decoder.h"

#include <cmath>
#include <initializer_list>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/str_cat.h"
#include "worker/model/ops/norm.h"

namespace ft::model {
namespace {

using torch::Tensor;

constexpr const char* kSiteNames[kSites] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                            "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                            "mlp.down_proj"};

std::string LayerName(int64_t layer) { return StrCat("model.layers.", layer, "."); }

ops::LinearLayer LayerOf(const BlockWeights& weights, const Pass& pass, int64_t layer, Site site) {
  const Projection& projection = weights.projection[site];
  ops::LinearLayer linear;
  linear.weight_OI = projection.weight.get();
  linear.bias_O = projection.bias.get();
  if (projection.adapter.has_value()) {
    linear.lora = &*projection.adapter;
    linear.place = {pass.dropout, static_cast<uint32_t>(layer), static_cast<uint32_t>(site),
                    projection.adapter->dropout};
  }
  return linear;
}

// What an epilogue makes of projections that read the same rows.
std::vector<Tensor> Apply(const BlockWeights& weights, const Tensor& x_NI, const Pass& pass, int64_t layer,
                          std::initializer_list<Site> sites, std::shared_ptr<const ops::Epilogue> epilogue) {
  std::vector<ops::LinearLayer> layers;
  for (const Site site : sites) layers.push_back(LayerOf(weights, pass, layer, site));
  return ops::Linears(x_NI, layers, std::move(epilogue), pass.saved_as);
}

// Appends this pass's keys and values to those of the sequence and returns all of them.
std::pair<Tensor, Tensor> Extend(LayerCache& cache, const Tensor& k_NKD, const Tensor& v_NKD) {
  cache.keys_MKD = cache.keys_MKD.defined() ? at::cat({cache.keys_MKD, k_NKD}) : k_NKD;
  cache.values_MKD = cache.values_MKD.defined() ? at::cat({cache.values_MKD, v_NKD}) : v_NKD;
  return {cache.keys_MKD, cache.values_MKD};
}

// The input of the output projection.
Tensor Attention(const DecoderConfig& config, const BlockWeights& weights, const Tensor& x_NC,
                 const Pass& pass, int64_t layer) {
  const int64_t rows = x_NC.size(0);
  const std::vector<ops::HeadsOfLayer> heads = {{config.heads, true}, {config.key_heads, true}, {config.key_heads, false}};
  const std::vector<Tensor> qkv = Apply(weights, x_NC, pass, layer, {kQuery, kKey, kValue},
                                        std::make_shared<ops::RotaryEpilogue>(pass.rope, heads));
  Tensor k_MKD = qkv[1], v_MKD = qkv[2];
  if (pass.cache != nullptr) std::tie(k_MKD, v_MKD) = Extend(pass.cache->at(layer), k_MKD, v_MKD);
  ops::AttentionKept* kept = pass.kept == nullptr ? nullptr : &pass.kept->at(layer);
  return ops::CausalAttention(qkv[0], k_MKD, v_MKD, pass.attention, kept)
      .view({rows, config.heads * config.head_size});
}

// The input of the down projection.
Tensor Mlp(const BlockWeights& weights, const Tensor& x_NC, const Pass& pass, int64_t layer) {
  return Apply(weights, x_NC, pass, layer, {kGate, kUp}, std::make_shared<ops::GateEpilogue>())[0];
}

}  // namespace

DecoderWeights MakeStructure(const DecoderConfig& config) {
  const int64_t hidden = config.hidden, query = config.heads * config.head_size;
  const int64_t key = config.key_heads * config.head_size;
  DecoderWeights weights;
  weights.blocks.resize(static_cast<size_t>(config.layers));
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    Projection* projection = weights.blocks[static_cast<size_t>(layer)].projection;
    const auto set = [&](Site site, int64_t inputs, int64_t outputs, bool bias) {
      projection[site].module = LayerName(layer) + kSiteNames[site];
      projection[site].inputs = inputs;
      projection[site].outputs = outputs;
      projection[site].has_bias = bias;
    };
    set(kQuery, hidden, query, config.qkv_bias);
    set(kKey, hidden, key, config.qkv_bias);
    set(kValue, hidden, key, config.qkv_bias);
    set(kOutput, query, hidden, config.output_bias);
    set(kGate, hidden, config.intermediate, config.mlp_bias);
    set(kUp, hidden, config.intermediate, config.mlp_bias);
    set(kDown, config.intermediate, hidden, config.mlp_bias);
  }
  return weights;
}

std::vector<ExpectedWeight> ExpectedWeights(const DecoderConfig& config) {
  std::vector<ExpectedWeight> expected;
  expected.push_back({"model.embed_tokens.weight", {config.vocabulary, config.hidden}});
  const DecoderWeights structure = MakeStructure(config);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    expected.push_back({LayerName(layer) + "input_layernorm.weight", {config.hidden}});
    expected.push_back({LayerName(layer) + "post_attention_layernorm.weight", {config.hidden}});
    for (const Projection& projection : structure.blocks[static_cast<size_t>(layer)].projection) {
      expected.push_back({projection.module + ".weight", {projection.outputs, projection.inputs}, true});
      if (projection.has_bias) expected.push_back({projection.module + ".bias", {projection.outputs}});
    }
  }
  expected.push_back({"model.norm.weight", {config.hidden}});
  if (!config.tied_head) expected.push_back({"lm_head.weight", {config.vocabulary, config.hidden}});
  return expected;
}

bool Place(const DecoderConfig& config, SlotPtr slot, DecoderWeights& weights) {
  const std::string& name = slot->name();
  if (name == "model.embed_tokens.weight") {
    if (config.tied_head) weights.head_VC = slot;
    weights.embedding_VC = std::move(slot);
    return true;
  }
  if (name == "model.norm.weight") return weights.final_norm = std::move(slot), true;
  if (name == "lm_head.weight") return weights.head_VC = std::move(slot), true;
  for (size_t layer = 0; layer < weights.blocks.size(); ++layer) {
    const std::string prefix = LayerName(static_cast<int64_t>(layer));
    if (!name.starts_with(prefix)) continue;
    BlockWeights& block = weights.blocks[layer];
    if (name == prefix + "input_layernorm.weight") return block.attention_norm = std::move(slot), true;
    if (name == prefix + "post_attention_layernorm.weight") return block.mlp_norm = std::move(slot), true;
    for (Projection& projection : block.projection) {
      if (name == projection.module + ".weight") return projection.weight = std::move(slot), true;
      if (name == projection.module + ".bias") return projection.bias = std::move(slot), true;
    }
  }
  return false;
}

Tensor SubLayerForward(const DecoderConfig& config, const BlockWeights& weights, const Tensor& x_NC,
                       const Pass& pass, int64_t layer, SubLayer which, ops::ValuesAre values) {
  const bool attention = which == SubLayer::kAttention;
  const ops::WeightSlot& norm = attention ? *weights.attention_norm : *weights.mlp_norm;
  const Tensor normed_NC = ops::RmsNorm(x_NC, norm, {config.norm_epsilon, pass.compute});
  const Tensor inner = attention ? Attention(config, weights, normed_NC, pass, layer)
                                 : Mlp(weights, normed_NC, pass, layer);
  // Attention saves its result as it is, and the projection behind it the same tensor.
  return ops::AddLinear(x_NC, inner, LayerOf(weights, pass, layer, attention ? kOutput : kDown), values,
                        attention ? pass.compute : pass.saved_as);
}

}  // namespace ft::model
