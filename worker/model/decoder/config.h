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
    kYarn,  // Waves longer than the original context divided by `factor`, short ones kept, a ramp between by how often a
    // wave turns in it (Peng et al., arXiv 2309.00071).
    kLongRope,  // Each frequency divided by its own factor; another list of them for inputs longer than original_positions
    // (Ding et al., arXiv 2402.13753).
    kProportional,  // The first `share` of the pairs turn as they would without scaling, the others stand still.
  };
  Kind kind = Kind::kNone;
  double factor = 1;
  double low_frequency_factor = 1;         // kLlama3.
  double high_frequency_factor = 4;        // kLlama3.
  int64_t original_positions = 0;          // kLlama3, kYarn, kLongRope.
  double fast_turns = 32, slow_turns = 1;  // kYarn: waves that turn more often are kept, less often divided;
  bool whole_pairs = true;                 // the ends of the ramp are rounded to whole pairs.
  std::vector<double> short_factors, long_factors;  // kLongRope, one a pair.
  double share = 1;                                 // kProportional.
  double magnitude = 1;                             // Cosine and sine are multiplied by it.
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
  int rotary = 0;        // Into DecoderConfig::rotaries, or kNoRotary.
  int64_t window = 0;    // A query sees itself and the window - 1 positions before it; 0 = all.
  bool experts = false;  // DecoderConfig::experts stand in the place of the MLP.
  // Sizes of the layer's attention where they are its own; 0 = DecoderConfig's.
  int64_t head_size = 0, key_heads = 0;
  bool value_is_key =
      false;  // Values are the outputs of the product for keys, before they are normed and rotated.
};

// Experts (Shazeer et al., arXiv 1701.06538): a router sends each row to a few of many MLPs and adds up what comes back, weighted.
struct Experts {
  enum class Score {
    kSoftmax,          // The experts with the largest share of a softmax over all; it is their weight.
    kSoftmaxOfChosen,  // Those with the largest outputs of the router; a softmax over these is their weight.
  };
  // What keeps a router from sending all rows to a few (Fedus et al., arXiv 2101.03961, formula 4): the share of rows that each
  // expert gets times the mean of its probability, added up over
  enum class Balance {
    kNone,
    kModel,     // all layers together; it is part of the loss.
    kLayer,     // each layer alone; of the gradient only.
    kSequence,  // each layer and sample alone, their mean; of the gradient only.
  };
  int64_t count = 0;         // 0 = the decoder has none.
  int64_t chosen = 0;        // Experts of a row.
  int64_t width = 0;         // Of each expert, as DecoderConfig::intermediate.
  int64_t shared_width = 0;  // Of an MLP beside them that every row passes; 0 = none.
  Score score = Score::kSoftmax;
  bool renormalised = false;  // The weights of the chosen are divided by their sum,
  double scale = 1;           // and then multiplied by this.
  int64_t groups = 1;         // Divides count: groups of neighbours, of which only the experts of
  int64_t chosen_groups = 1;  // so many, those with the best single experts, may be chosen.
  bool router_bias = false;
  bool bias = false;  // Of each expert's products.
  // The router is a linear layer to the family's own code, and so to PEFT: it takes an adapter.
  bool adapted_router = true;
  Balance balance = Balance::kNone;
  double balance_weight = 0;
};

// Keys and values of all heads made from a few values a row (DeepSeek-AI, arXiv 2405.04434, section 2.1). A head's query and key are
// `plain` values that do not turn, and behind them `turned` that do, which in keys are the same for all heads.
struct Latent {
  int64_t width = 0;  // 0 = keys and values are products of the rows.
  int64_t plain = 0, turned = 0;
  int64_t value = 0;  // Size of a head's value, at most that of its key.
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
  bool norm_plus_one = false;   // Norms multiply by 1 + weight.
  bool norm_before = true;      // A norm of each sub-layer's input.
  bool norm_behind = false;     // A norm of each sub-layer's result.
  bool head_norms = false;      // An RMS norm of each head of queries and keys, before they are rotated,
  bool norm_all_heads = false;  // or of all heads of a row together.
  bool value_norms = false;     // An RMS norm without weight of each head of values.

  std::vector<Rotary> rotaries = {Rotary()};
  std::vector<LayerPlan> plan;  // One a layer; empty = the default of all.
  Latent latent;
  bool alibi = false;              // Scores fall linearly with the distance (Press et al., arXiv 2108.12409).
  bool learned_positions = false;  // A table of max_positions rows, added to the embedding.
  double score_scale = 0;          // Factor of attention's scores; 0 = 1 / sqrt(head_size).
  bool sinks = false;              // A trained score more a head takes part in the softmax, and has no value.
  double score_cap = 0;            // Scores become cap * tanh(score / cap); 0 = they stay.
  // Outside training, queries from this position on are multiplied by log(position) / log(log_n); 0 = they stay.
  int64_t log_n = 0;

  bool qkv_bias = false;
  bool output_bias = false;  // The attention's output projection has a bias.
  bool mlp_bias = false;
  bool gated = true;  // The MLP is down(activation(gate(x)) * up(x)), else down(activation(up(x))).
  Activation activation = Activation::kSilu;
  // A gated MLP is down((up + 1) * gate * sigmoid(1.702 * gate)), gate cut at so much from above, up on both sides; 0 = it is not.
  double gate_clamp = 0;
  Experts experts;

  double embedding_scale = 1;
  double residual_scale = 1;   // What a sub-layer's result is multiplied by before it is added.
  double logit_scale = 1;      // Factor of the logits.
  bool layer_scalars = false;  // A block's result is multiplied by a stored number, which is not trained.
  bool tied_head = false;
  bool normalised_head = false;  // Each row of the head is divided by its length.
  double logit_cap = 0;          // As score_cap, of the logits.

  LayerPlan PlanOf(int64_t layer) const {
    return plan.empty() ? LayerPlan() : plan[static_cast<size_t>(layer)];
  }
  int64_t HeadSizeOf(int64_t layer) const {
    const int64_t own = PlanOf(layer).head_size;
    return own == 0 ? head_size : own;
  }
  int64_t KeyHeadsOf(int64_t layer) const {
    const int64_t own = PlanOf(layer).key_heads;
    return own == 0 ? key_heads : own;
  }
  int64_t ValueSizeOf(int64_t layer) const { return latent.width > 0 ? latent.value : HeadSizeOf(layer); }
  // The decoder as if all its layers' attention were this layer's.
  DecoderConfig AsLayer(int64_t layer) const;
  // Values of a head that the table turns.
  int64_t TurnedSize(const Rotary& rotary) const { return rotary.size == 0 ? head_size : rotary.size; }

  // INVALID_ARGUMENT names the field: sizes positive and bounded, heads a multiple of key heads, head size
  // even.
  Status Validate() const;
};

}  // namespace ft::model
