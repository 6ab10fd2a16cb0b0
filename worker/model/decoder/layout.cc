#include "worker/model/decoder/layout.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/base/str_cat.h"

namespace ft::model {
namespace {

// Adds the weights of a layout in their order.
class LayoutBuilder {
 public:
  LayoutBuilder(const DecoderConfig& config, const WeightNames& names) : config_(config), names_(names) {}

  void Ends(bool front) {
    if (front) {
      Matrix(names_.embedding, config_.vocabulary, {Part::kEmbedding});
      if (config_.learned_positions) Matrix(names_.positions, config_.max_positions, {Part::kPositions});
      return;
    }
    Norm(std::string(names_.final_norm), {Part::kFinalNorm}, config_.hidden);
    if (!config_.tied_head) Matrix(names_.head, config_.vocabulary, {Part::kHead});
  }

  void Block(int64_t layer, const std::vector<Product>& products) {
    const std::string block = StrCat(names_.blocks, layer, ".");
    const auto norm = [&](bool there, std::string_view name, Part part, int64_t size) {
      if (there) Norm(StrCat(block, name), {part, layer}, size);
    };
    const int64_t head_size = config_.HeadSizeOf(layer);
    const auto norm_size = [&](int64_t heads) {
      return config_.norm_all_heads ? heads * head_size : head_size;
    };
    norm(config_.norm_before, names_.attention_norm, Part::kAttentionNorm, config_.hidden);
    norm(config_.norm_behind, names_.attention_behind, Part::kAttentionBehind, config_.hidden);
    norm(config_.norm_before, names_.mlp_norm, Part::kMlpNorm, config_.hidden);
    norm(config_.norm_behind, names_.mlp_behind, Part::kMlpBehind, config_.hidden);
    norm(config_.head_norms, names_.query_norm, Part::kQueryNorm, norm_size(config_.heads));
    norm(config_.head_norms, names_.key_norm, Part::kKeyNorm, norm_size(config_.KeyHeadsOf(layer)));
    norm(config_.latent.width > 0, names_.latent_norm, Part::kLatentNorm, config_.latent.width);
    if (config_.sinks)
      layout_.push_back({StrCat(block, names_.sinks), {config_.heads}, {Part::kSinks, layer}});
    if (config_.layer_scalars)
      layout_.push_back({StrCat(block, names_.layer_scalar), {1}, {Part::kLayerScalar, layer}});
    for (size_t i = 0; i < products.size(); ++i) {
      const Product& product = products[i];
      const std::string module = StrCat(block, product.module);
      Role role{Part::kProjection, layer, static_cast<int64_t>(i), /*bias=*/false, product.expert};
      layout_.push_back({module + ".weight",
                         {product.outputs, product.inputs},
                         role,
                         product.pieces,
                         PlaceOf(block, product, /*bias=*/false)});
      role.bias = true;
      if (product.bias) {
        layout_.push_back(
            {module + ".bias", {product.outputs}, role, {}, PlaceOf(block, product, /*bias=*/true)});
      }
    }
  }

  Layout Take() { return std::move(layout_); }

 private:
  // Where a file with all experts in one tensor has the product's weight.
  std::optional<FusedPlace> PlaceOf(const std::string& block, const Product& product, bool bias) const {
    const ExpertNames& names = names_.experts;
    if (product.expert == kNoExpert || names.fused_down.empty()) return std::nullopt;
    const Use use = product.pieces.front().use;
    const bool down = use == Use::kDown;
    FusedPlace place{.tensor = StrCat(block, names.experts, down ? names.fused_down : names.fused_gate_up,
                                      bias ? "_bias" : ""),
                     .experts = config_.experts.count,
                     .rows = product.outputs,
                     .inputs_first = names.only_fused,
                     .only = names.only_fused};
    if (!down && !names.only_fused) place.rows *= 2;
    if (use == Use::kUp) place.first_row = product.outputs;
    return place;
  }
  void Matrix(std::string_view name, int64_t rows, Role role) {
    layout_.push_back({StrCat(name, ".weight"), {rows, config_.hidden}, role});
  }
  // Norms of heads are RMS norms in every decoder.
  void Norm(const std::string& name, Role role, int64_t size) {
    layout_.push_back({name + ".weight", {size}, role});
    const bool of_heads =
        role.part == Part::kQueryNorm || role.part == Part::kKeyNorm || role.part == Part::kLatentNorm;
    if (config_.norm != NormKind::kLayer || of_heads) return;
    role.bias = true;
    layout_.push_back({name + ".bias", {size}, role});
  }

  const DecoderConfig& config_;
  const WeightNames& names_;
  Layout layout_;
};

// Appends gate and up in one, and down, of an expert.
void AddFusedMlp(std::string_view prefix, const ExpertNames& names, const DecoderConfig& config,
                 std::vector<Product>& products) {
  const Experts& experts = config.experts;
  products.push_back(InGroups(StrCat(prefix, names.fused_gate_up), config.hidden, experts.width,
                              {{Use::kGate, 1}, {Use::kUp, 1}}, experts.bias));
  products.push_back(
      OneUse(StrCat(prefix, names.fused_down), Use::kDown, experts.width, config.hidden, experts.bias));
}

// Appends gate, up and down of an MLP.
void AddMlp(std::string_view prefix, const ExpertNames& names, const DecoderConfig& config, int64_t width,
            std::vector<Product>& products) {
  const int64_t hidden = config.hidden;
  const bool bias = config.experts.bias;
  products.push_back(OneUse(StrCat(prefix, names.gate), Use::kGate, hidden, width, bias));
  products.push_back(OneUse(StrCat(prefix, names.up), Use::kUp, hidden, width, bias));
  products.push_back(OneUse(StrCat(prefix, names.down), Use::kDown, width, hidden, bias));
}

bool IsOfAttention(const Product& product) {
  const Use use = product.pieces.front().use;
  return use != Use::kGate && use != Use::kUp && use != Use::kDown;
}

// The products of a layer with experts, where a layer with an MLP has `products`.
std::vector<Product> WithExperts(const DecoderConfig& config, const ExpertNames& names,
                                 const std::vector<Product>& products) {
  const Experts& experts = config.experts;
  std::vector<Product> all;
  std::copy_if(products.begin(), products.end(), std::back_inserter(all), IsOfAttention);
  if (experts.shared_width > 0) AddMlp(names.shared, names, config, experts.shared_width, all);
  all.push_back(OneUse(names.router, Use::kRouter, config.hidden, experts.count, experts.router_bias));
  for (int64_t e = 0; e < experts.count; ++e) {
    const size_t first = all.size();
    const std::string prefix = StrCat(names.experts, e, ".");
    if (names.only_fused) {
      AddFusedMlp(prefix, names, config, all);
    } else {
      AddMlp(prefix, names, config, experts.width, all);
    }
    for (size_t i = first; i < all.size(); ++i) all[i].expert = e;
  }
  return all;
}

}  // namespace

std::vector<int64_t> FusedPlace::ShapeOf(const std::vector<int64_t>& part) const {
  if (part.size() == 1) return {experts, rows};
  return inputs_first ? std::vector<int64_t>{experts, part[1], rows}
                      : std::vector<int64_t>{experts, rows, part[1]};
}

Product OneUse(std::string_view module, Use use, int64_t inputs, int64_t outputs, bool bias) {
  return InTurn(module, inputs, {{use, outputs}}, bias);
}

Product InTurn(std::string_view module, int64_t inputs, const std::vector<UseRows>& uses, bool bias) {
  return InGroups(module, inputs, 1, uses, bias);
}

Product InGroups(std::string_view module, int64_t inputs, int64_t groups, const std::vector<UseRows>& uses,
                 bool bias) {
  int64_t stride = 0;
  for (const UseRows& use : uses) stride += use.rows;
  Product product{std::string(module), inputs, groups * stride, bias, {}};
  int64_t offset = 0;
  for (const UseRows& use : uses) {
    product.pieces.push_back({use.use, offset, stride, groups, use.rows});
    offset += use.rows;
  }
  return product;
}

Layout MakeLayout(const DecoderConfig& config, const WeightNames& names,
                  std::vector<Product> (*products)(const DecoderConfig& config)) {
  LayoutBuilder builder(config, names);
  builder.Ends(/*front=*/true);
  DecoderConfig alike = config;  // Its layers, but for those with sizes of their own.
  alike.plan.clear();
  const std::vector<Product> usual = products(alike);
  std::vector<Product> with_experts;
  if (config.experts.count > 0) with_experts = WithExperts(config, names.experts, usual);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    const LayerPlan plan = config.PlanOf(layer);
    const bool own = plan.head_size != 0 || plan.key_heads != 0 || plan.value_is_key;
    builder.Block(layer, plan.experts ? with_experts : own ? products(config.AsLayer(layer)) : usual);
  }
  builder.Ends(/*front=*/false);
  return builder.Take();
}

std::vector<Product> SeparateProducts(const DecoderConfig& config) {
  const int64_t hidden = config.hidden, query = config.heads * config.head_size,
                key = config.key_heads * config.head_size;
  std::vector<Product> products = {OneUse("self_attn.q_proj", Use::kQuery, hidden, query, config.qkv_bias),
                                   OneUse("self_attn.k_proj", Use::kKey, hidden, key, config.qkv_bias)};
  if (!config.PlanOf(0).value_is_key)
    products.push_back(OneUse("self_attn.v_proj", Use::kValue, hidden, key, config.qkv_bias));
  products.push_back(OneUse("self_attn.o_proj", Use::kAttentionOut, query, hidden, config.output_bias));
  if (config.gated)
    products.push_back(OneUse("mlp.gate_proj", Use::kGate, hidden, config.intermediate, config.mlp_bias));
  products.push_back(OneUse("mlp.up_proj", Use::kUp, hidden, config.intermediate, config.mlp_bias));
  products.push_back(OneUse("mlp.down_proj", Use::kDown, config.intermediate, hidden, config.mlp_bias));
  return products;
}

}  // namespace ft::model
