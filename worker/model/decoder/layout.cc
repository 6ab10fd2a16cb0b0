#include "worker/model/decoder/layout.h"

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
    norm(true, names_.attention_norm, Part::kAttentionNorm, config_.hidden);
    norm(config_.norm_behind, names_.attention_behind, Part::kAttentionBehind, config_.hidden);
    norm(true, names_.mlp_norm, Part::kMlpNorm, config_.hidden);
    norm(config_.norm_behind, names_.mlp_behind, Part::kMlpBehind, config_.hidden);
    norm(config_.head_norms, names_.query_norm, Part::kQueryNorm, config_.head_size);
    norm(config_.head_norms, names_.key_norm, Part::kKeyNorm, config_.head_size);
    for (size_t i = 0; i < products.size(); ++i) {
      const Product& product = products[i];
      const std::string module = StrCat(block, product.module);
      const Role role{Part::kProjection, layer, static_cast<int64_t>(i)};
      layout_.push_back({module + ".weight", {product.outputs, product.inputs}, role, product.pieces});
      if (product.bias)
        layout_.push_back({module + ".bias", {product.outputs}, {role.part, layer, role.site, true}});
    }
  }

  Layout Take() { return std::move(layout_); }

 private:
  void Matrix(std::string_view name, int64_t rows, Role role) {
    layout_.push_back({StrCat(name, ".weight"), {rows, config_.hidden}, role});
  }
  // Norms of heads are RMS norms in every decoder.
  void Norm(const std::string& name, Role role, int64_t size) {
    layout_.push_back({name + ".weight", {size}, role});
    const bool of_heads = role.part == Part::kQueryNorm || role.part == Part::kKeyNorm;
    if (config_.norm != NormKind::kLayer || of_heads) return;
    role.bias = true;
    layout_.push_back({name + ".bias", {size}, role});
  }

  const DecoderConfig& config_;
  const WeightNames& names_;
  Layout layout_;
};

}  // namespace

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
                  const std::vector<Product>& products) {
  LayoutBuilder builder(config, names);
  builder.Ends(/*front=*/true);
  for (int64_t layer = 0; layer < config.layers; ++layer) builder.Block(layer, products);
  builder.Ends(/*front=*/false);
  return builder.Take();
}

std::vector<Product> SeparateProducts(const DecoderConfig& config) {
  const int64_t hidden = config.hidden, query = config.heads * config.head_size,
                key = config.key_heads * config.head_size;
  std::vector<Product> products = {
      OneUse("self_attn.q_proj", Use::kQuery, hidden, query, config.qkv_bias),
      OneUse("self_attn.k_proj", Use::kKey, hidden, key, config.qkv_bias),
      OneUse("self_attn.v_proj", Use::kValue, hidden, key, config.qkv_bias),
      OneUse("self_attn.o_proj", Use::kAttentionOut, query, hidden, config.output_bias)};
  if (config.gated)
    products.push_back(OneUse("mlp.gate_proj", Use::kGate, hidden, config.intermediate, config.mlp_bias));
  products.push_back(OneUse("mlp.up_proj", Use::kUp, hidden, config.intermediate, config.mlp_bias));
  products.push_back(OneUse("mlp.down_proj", Use::kDown, config.intermediate, hidden, config.mlp_bias));
  return products;
}

}  // namespace ft::model
