// Which stored tensor plays which part in a decoder. A family gives the layout of a model of its; everything else goes by role
// and index, never by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/model/decoder/config.h"

namespace ft::model {

// What rows of a product's output are for. A plain MLP has kUp alone where a gated one has kGate too.
enum class Use : uint8_t { kQuery, kKey, kValue, kAttentionOut, kGate, kUp, kDown };

// Rows of a product's output: of each group g the rows [offset + g * group_stride, + length), one group behind the other.
struct Piece {
  Use use = Use::kQuery;
  int64_t offset = 0;
  int64_t group_stride = 0;
  int64_t groups = 1;
  int64_t length = 0;

  int64_t rows() const { return groups * length; }
  bool operator==(const Piece&) const = default;
};

// One stored matrix of a block: one product, one slot, one adapter. Its pieces cover its outputs once.
struct Product {
  std::string module;  // Within the block: self_attn.q_proj.
  int64_t inputs = 0, outputs = 0;
  bool bias = false;
  std::vector<Piece> pieces;
};

// A product with one use.
Product OneUse(std::string_view module, Use use, int64_t inputs, int64_t outputs, bool bias);
// Uses one after the other, each with so many rows.
struct UseRows {
  Use use;
  int64_t rows;
};
Product InTurn(std::string_view module, int64_t inputs, const std::vector<UseRows>& uses, bool bias);
// `groups` times the uses one after the other.
Product InGroups(std::string_view module, int64_t inputs, int64_t groups, const std::vector<UseRows>& uses,
                 bool bias);

enum class Part : uint8_t {
  kEmbedding,
  kPositions,
  kAttentionNorm,
  kAttentionBehind,  // Norms behind sub-layers.
  kMlpNorm,
  kMlpBehind,
  kQueryNorm,
  kKeyNorm,
  kProjection,
  kFinalNorm,
  kHead,
};

struct Role {
  Part part = Part::kEmbedding;
  int64_t layer = 0;  // The block, for a block's weights.
  // The product's number in its block, which is also the site of its dropout. Do not renumber: dropout masks of resumed jobs
  // depend on it.
  int64_t site = 0;
  bool bias = false;  // Of a norm or a product.
};

struct StoredWeight {
  std::string name;  // As the model's own files have it; "<module>.weight" of a projection.
  std::vector<int64_t> shape;
  Role role;
  std::vector<Piece> pieces = {};  // Of a product's matrix.
};

// Every weight once, in the order embedding, blocks, final norm, head (absent when tied).
using Layout = std::vector<StoredWeight>;

// What a family calls its weights; Llama's names by default. Those of parts that a decoder has not are not used.
struct WeightNames {
  std::string_view embedding = "model.embed_tokens";
  std::string_view positions = "";
  std::string_view blocks = "model.layers.";  // Followed by the block's number.
  std::string_view attention_norm = "input_layernorm";
  std::string_view attention_behind = "";
  std::string_view mlp_norm = "post_attention_layernorm";
  std::string_view mlp_behind = "";
  std::string_view query_norm = "self_attn.q_norm";
  std::string_view key_norm = "self_attn.k_norm";
  std::string_view final_norm = "model.norm";
  std::string_view head = "lm_head";
};

// The layout of a decoder with these names whose blocks have these products, in the order of their sites: what attention reads,
// its output, what the MLP reads, its output.
Layout MakeLayout(const DecoderConfig& config, const WeightNames& names,
                  const std::vector<Product>& products);

// Llama's seven products, or six of a plain MLP, with the biases that the configuration says.
std::vector<Product> SeparateProducts(const DecoderConfig& config);

// What is used together: 0 is the embedding, 1.. are the blocks, behind them comes the head. A tied head belongs to the
// embedding, and the final norm to the head.
inline int UnitOf(const DecoderConfig& config, const Role& role) {
  switch (role.part) {
    case Part::kEmbedding:
    case Part::kPositions: return 0;
    case Part::kFinalNorm:
    case Part::kHead: return config.tied_head ? 0 : static_cast<int>(config.layers) + 1;
    default: return static_cast<int>(role.layer) + 1;
  }
}

}  // namespace ft::model
