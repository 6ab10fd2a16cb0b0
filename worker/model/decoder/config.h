// What a decoder is made of, as choices that do not depend on each other. A family file (family_llama.h)
// fills it in from a Hugging Face config.json; no other code knows families.
#pragma once

#include <cstdint>
#include <string>

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
  };
  Kind kind = Kind::kNone;
  double factor = 1;
  double low_frequency_factor = 1;   // kLlama3.
  double high_frequency_factor = 4;  // kLlama3.
  int64_t original_positions = 0;    // kLlama3.
};

struct DecoderConfig {
  std::string family;  // As config.json names it (model_type).
  int64_t vocabulary = 0;
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t key_heads = 0;     // Divides heads.
  int64_t head_size = 0;     // Even.
  int64_t intermediate = 0;  // Width of the gated MLP.
  double norm_epsilon = 1e-6;
  double rope_theta = 10000;
  RopeScaling rope_scaling;
  int64_t max_positions = 2048;
  bool qkv_bias = false;
  bool output_bias = false;  // The attention's output projection has a bias.
  bool mlp_bias = false;
  bool tied_head = false;

  // INVALID_ARGUMENT names the field: sizes positive and bounded, heads a multiple of key heads, head size
  // even.
  Status Validate() const;
};

}  // namespace ft::model
