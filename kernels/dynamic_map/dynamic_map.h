// The dynamic maps of 8-bit codes (Dettmers et al., "8-bit Optimizers via Block-wise Quantization", arXiv 2110.02861) as bitsandbytes makes
// them: 256 values, ascending, of seven decades, each twice as finely divided as the one below; and 0 and 1.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

const float* DynamicMapSigned();    // From -1 to 1.
const float* DynamicMapUnsigned();  // From 0 to 1, each decade twice as finely divided as in the signed one.

// The index of the nearest value of a map; the lower of two equally near. Without branches: values lie all over the map, and every wrong
// guess of the processor would cost more than the search.
FT_HOST_DEVICE inline uint8_t NearestInMap(const float* map, float value) {
  int upper = 0;  // The number of map values below `value`.
  for (int step = 128; step > 0; step /= 2) upper += map[upper + step - 1] < value ? step : 0;
  const int lower = upper > 0 ? upper - 1 : 0;
  const double below = static_cast<double>(value) - static_cast<double>(map[lower]);
  const double above = static_cast<double>(map[upper]) - static_cast<double>(value);
  return static_cast<uint8_t>(below <= above ? lower : upper);
}

}  // namespace ft::kernels
