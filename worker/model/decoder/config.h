// What a decoder is made of, as choices that do not depend on each other. A family file (families.h) fills it in from a Hugging
// Face config.json; no other code knows families.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::model {

// How rotary angles deviate from position / theta^(2i/D).
struct RopeScaling {
  enum class Kind {
    kNone,
    kLinear,   // Positions divided by `factor`.
    kDynamic,  // Inputs longer than max_positions enlarge theta (NTK-aware), by the length of the input at
               // hand.
    kLlama3,   // Low frequencies divided by `factor`, high ones kept, a ramp between (Llama 3.1).
    kStepped,  // Outside training, inputs longer than max_positions enlarge theta, by the next power of two of the length.
  };
  Kind kind = Kind::kNone;
  double factor = 1;
  double low_frequency_factor = 1;   // kLlama3.
  double high_frequency_factor = 4;  // kLlama3.
  int64_t original_positions = 0;    // kLlama3.
};

// A table of rotary angles.
struct Rotary {
  double theta = 10000;
  int64_t size = 0;         // Values of a head that turn, the first ones; 0 = all. Even.
  bool neighbours = false;  // Pairs (0, 1), (2, 3), ... turn instead of (i, i + size / 2).
  RopeScaling scaling;
};

// What may differ from layer to layer.
struct LayerPlan {
  static constexpr int kNoRotary = -1;
  int rotary = 0;      // Into DecoderConfig::rotaries, or kNoRotary.
  int64_t window = 0;  // A query sees itself and the window - 1 positions before it; 0 = all.
};

enum class NormKind { kRms, kLayer };  // kLayer has a bias.
enum class Activation { kSilu, kGelu, kGeluTanh };

struct DecoderConfig {
  std::string family;  // As config.json names it (model_type).
  int64_t vocabulary = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t key_heads = 0;     // Divides heads.
  int64_t head_size = 0;     // Even.
  int64_t intermediate = 0;  // Width of the MLP; of a gated one, of each half.
  int64_t max_positions = 2048;

  NormKind norm = NormKind::kRms;
  double norm_epsilon = 1e-6;
  bool norm_plus_one = false;  // Norms multiply by 1 + weight.
  bool norm_behind = false;    // A norm of each sub-layer's result, besides the one of its input.
  bool head_norms = false;     // An RMS norm of each head of queries and keys, before they are rotated.

  std::vector<Rotary> rotaries = {Rotary()};
  std::vector<LayerPlan> plan;     // One a layer; empty = the default of all.
  bool alibi = false;              // Scores fall linearly with the distance (Press et al., arXiv 2108.12409).
  bool learned_positions = false;  // A table of max_positions rows, added to the embedding.
  double score_scale = 0;          // Factor of attention's scores; 0 = 1 / sqrt(head_size).
  double score_cap = 0;            // Scores become cap * tanh(score / cap); 0 = they stay.
  // Outside training, queries from this position on are multiplied by log(position) / log(log_n); 0 = they stay.
  int64_t log_n = 0;

  bool qkv_bias = false;
  bool output_bias = false;  // The attention's output projection has a bias.
  bool mlp_bias = false;
  bool gated = true;  // The MLP is down(activation(gate(x)) * up(x)), else down(activation(up(x))).
  Activation activation = Activation::kSilu;

  double embedding_scale = 1;
  bool tied_head = false;
  bool normalised_head = false;  // Each row of the head is divided by its length.
  double logit_cap = 0;          // As score_cap, of the logits.

  LayerPlan PlanOf(int64_t layer) const {
    return plan.empty() ? LayerPlan() : plan[static_cast<size_t>(layer)];
  }
  // Values of a head that the table turns.
  int64_t TurnedSize(const Rotary& rotary) const { return rotary.size == 0 ? head_size : rotary.size; }

  // INVALID_ARGUMENT names the field: sizes positive and bounded, heads a multiple of key heads, head size
  // even.
  Status Validate() const;
};

}  // namespace ft::model
