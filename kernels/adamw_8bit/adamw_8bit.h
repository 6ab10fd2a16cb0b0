// AdamW whose moments have 8 bits (Dettmers et al., "8-bit Optimizers via Block-wise Quantization", arXiv 2110.02861), in the layout of
// bitsandbytes.
//
// Weights form blocks of 256. A first moment is a code of the signed dynamic map, a second one of the unsigned map, each times the largest
// of its block (absmax, float32). A step restores both, updates the weight by the new moments before they are rounded, and keeps the nearest
// codes. bitsandbytes' code for CPUs sometimes takes the code beside the nearest, and that for GPUs moves the code of a first moment
// whose sign would be lost by one.
//
// The inline function is the definition, for host and device; products are rounded before they are added.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/dynamic_map/dynamic_map.h"

namespace ft::kernels {

inline constexpr int64_t kAdamW8bitBlock = 256;

// Numbers of one step, t of which were done with it.
struct AdamW8bitStep {
  float beta1 = 0, rest1 = 0;  // rest = 1 - beta.
  float beta2 = 0, rest2 = 0;
  float rate = 0;   // lr sqrt(1 - beta2^t) / (1 - beta1^t).
  float eps = 0;    // eps sqrt(1 - beta2^t).
  float decay = 0;  // 1 - lr weight_decay.
};

struct AdamW8bitArrays {
  float* values = nullptr;
  const float* gradients = nullptr;
  int64_t count = 0;              // Of weights; the last block may be short.
  uint8_t* first = nullptr;       // A code a weight.
  float* first_absmax = nullptr;  // One a block.
  uint8_t* second = nullptr;
  float* second_absmax = nullptr;
};

FT_HOST_DEVICE inline int64_t AdamW8bitBlocks(int64_t count) {
  return (count + kAdamW8bitBlock - 1) / kAdamW8bitBlock;
}

// Updates one weight and its restored moments.
FT_HOST_DEVICE inline void AdamW8bitWeight(const AdamW8bitStep& step, float gradient, float& value,
                                           float& first, float& second) {
  const float square = step.rest2 * gradient * gradient;
  first = first * step.beta1 + step.rest1 * gradient;
  second = second * step.beta2 + square;
  const float change = step.rate * (first / (sqrtf(second) + step.eps));
  value = value * step.decay - change;
}

// The code of a moment in a block whose largest is `absmax`.
FT_HOST_DEVICE inline uint8_t AdamW8bitCode(const float* map, float moment, float absmax) {
  return NearestInMap(map, absmax == 0 ? 0.0f : moment / absmax);
}

// Blocks [first_block, last_block) of the arrays.
void AdamW8bit(const AdamW8bitStep& step, const AdamW8bitArrays& arrays, int64_t first_block,
               int64_t last_block);

}  // namespace ft::kernels
