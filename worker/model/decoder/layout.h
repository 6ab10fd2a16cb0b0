// Which stored tensor plays which part in a decoder. A family gives the layout of a model of its; everything else goes by role
// and index, never by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/model/decoder/config.h"

namespace ft::model {

// What rows of a product's output are for. A plain MLP has kUp alone where a gated one has kGate too. With a latent, what reads the
// rows makes kQuery, kLatent and kTurnedKey, and what reads the latent kPlainKey and kValue.
enum class Use : uint8_t {
  kQuery,
  kKey,
  kValue,
  kAttentionOut,
  kGate,
  kUp,
  kDown,
  kRouter,
  kLatent,
  kTurnedKey,
  kPlainKey
};

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

// A product that is no single expert's.
inline constexpr int64_t kNoExpert = -1;

// One stored matrix of a block: one product, one slot, one adapter. Its pieces cover its outputs once.
struct Product {
  std::string module;  // Within the block: self_attn.q_proj.
  int64_t inputs = 0, outputs = 0;
  bool bias = false;
  std::vector<Piece> pieces;
  int64_t expert = kNoExpert;
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
  kSinks,
  kLatentNorm,
  kProjection,
  kFinalNorm,
  kHead,
  kLayerScalar,
};

// Whether full fine-tuning changes it.
inline bool IsTrained(Part part) { return part != Part::kLayerScalar; }

struct Role {
  Part part = Part::kEmbedding;
  int64_t layer = 0;  // The block, for a block's weights.
  // The product's number in its block, which is also the site of its dropout. Do not renumber: dropout masks of resumed jobs
  // depend on it.
  int64_t site = 0;
  bool bias = false;  // Of a norm or a product.
  int64_t expert = kNoExpert;
};

// Where files hold a weight within one tensor for all experts, [experts, rows, inputs], of biases [experts, rows].
struct FusedPlace {
  std::string tensor;
  int64_t experts = 0;
  int64_t rows = 0;           // Of each expert's matrix,
  int64_t first_row = 0;      // and the first of this weight's.
  bool inputs_first = false;  // [experts, inputs, rows] instead.
  bool only = false;          // There are no files that have it alone.

  // Of a tensor whose parts have `part`'s shape but for the rows.
  std::vector<int64_t> ShapeOf(const std::vector<int64_t>& part) const;
};

struct StoredWeight {
  std::string name;  // As the model's own files have it; "<module>.weight" of a projection.
  std::vector<int64_t> shape;
  Role role;
  std::vector<Piece> pieces = {};  // Of a product's matrix.
  // Of an expert's weight: where it lies in files that have all experts in one tensor.
  std::optional<FusedPlace> fused = std::nullopt;

  bool router() const {
    return role.part == Part::kProjection && !role.bias && pieces.front().use == Use::kRouter;
  }
  // What quantised jobs quantise: the blocks' matrices, but for routers, where a rounding would send rows elsewhere.
  bool quantised() const { return role.part == Part::kProjection && !role.bias && !router(); }
};

// Every weight once, in the order embedding, blocks, final norm, head (absent when tied).
using Layout = std::vector<StoredWeight>;

// What a family calls the products of a layer with experts.
struct ExpertNames {
  std::string_view router = "mlp.gate";
  std::string_view experts = "mlp.experts.";  // Followed by the expert's number.
  std::string_view shared = "mlp.shared_experts.";
  std::string_view gate = "gate_proj", up = "up_proj", down = "down_proj";
  // What files that have all experts in one tensor call gate above up, and down; empty where there are no such files.
  std::string_view fused_gate_up = "", fused_down = "";
  // There are no others; inputs lie before outputs, gate and up in turns and so in one product, and biases ("_bias") beside.
  bool only_fused = false;
};

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
  std::string_view latent_norm = "self_attn.kv_a_layernorm";
  std::string_view sinks = "self_attn.sinks";  // The whole name.
  std::string_view layer_scalar = "layer_scalar";
  std::string_view final_norm = "model.norm";
  std::string_view head = "lm_head";
  ExpertNames experts = {};
};

// The layout of a decoder with these names whose blocks have these products, in the order of their sites: what attention reads,
// its output, what the MLP reads, its output. A layer with experts has, in the place of the last two, those of the shared MLP, the
// router, and of one expert after the other gate, up and down.
Layout MakeLayout(const DecoderConfig& config, const WeightNames& names,
                  std::vector<Product> (*products)(const DecoderConfig& config));

// Llama's seven products, or six of a plain MLP, with the biases that the configuration says; six where values are keys.
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
