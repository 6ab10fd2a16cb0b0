// Which stored tensor plays which part in a decoder. A family gives the layout of a model of its; everything else goes by role
// and index, never by name.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker/model/decoder/config.h"

namespace ft::model {

// The projections of a block; the number is also the site of its dropout. Do not renumber: dropout masks of resumed jobs depend
// on it.
enum Site { kQuery = 0, kKey = 1, kValue = 2, kOutput = 3, kGate = 4, kUp = 5, kDown = 6, kSites = 7 };

enum class Part : uint8_t { kEmbedding, kAttentionNorm, kMlpNorm, kProjection, kBias, kFinalNorm, kHead };

struct Role {
  Part part = Part::kEmbedding;
  int64_t layer = 0;   // The block, for a block's weights.
  Site site = kQuery;  // The place in the block, for projections and biases.
};

struct StoredWeight {
  std::string name;  // As the model's own files have it; "<module>.weight" of a projection.
  std::vector<int64_t> shape;
  Role role;
};

// What a family calls the weights of a decoder of Llama's shape; Llama's own names by default.
struct WeightNames {
  std::string_view embedding = "model.embed_tokens";
  std::string_view blocks = "model.layers.";  // Followed by the block's number.
  std::string_view attention_norm = "input_layernorm";
  std::string_view mlp_norm = "post_attention_layernorm";
  std::array<std::string_view, kSites> projections = {
      "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
      "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};
  std::string_view final_norm = "model.norm";
  std::string_view head = "lm_head";
};

// Every weight once, in the order embedding, blocks, final norm, head (absent when tied).
using Layout = std::vector<StoredWeight>;

// What is used together: 0 is the embedding, 1.. are the blocks, behind them comes the head. A tied head belongs to the
// embedding, and the final norm to the head.
inline int UnitOf(const DecoderConfig& config, const Role& role) {
  switch (role.part) {
    case Part::kEmbedding: return 0;
    case Part::kFinalNorm:
    case Part::kHead: return config.tied_head ? 0 : static_cast<int>(config.layers) + 1;
    default: return static_cast<int>(role.layer) + 1;
  }
}

}  // namespace ft::model
