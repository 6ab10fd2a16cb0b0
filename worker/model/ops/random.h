// Tensors of counter-based random numbers.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ft::ops {

// Element i becomes uniform in [-bound, bound), a function of seed, stream and i only. REQUIRES: float32,
// contiguous.
void FillUniform(uint64_t seed, uint64_t stream, float bound, torch::Tensor& out);

// A number in [0, 1) with 53 random bits, a function of its arguments only.
double UniformDraw(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace ft::ops
