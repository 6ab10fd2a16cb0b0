// AdamW with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101) on a CPU, with the bits of LibTorch's fused kernel for CPUs,
// which it replaces: that one takes eight weights at a time, so that four streams take turns at every 32 bytes, and where arrays lie
// decides whether the CPU still sees them coming.
//
// Of one weight, where a CPU fuses multiply-adds, with d = 1 - lr weight_decay, c1 = 1 - beta1^t and c2 = 1 - beta2^t:
//
//   m = m + (1 - beta1) (g - m)                            fused; with beta1 <= 0.5 as g - beta1 (g - m)
//   v = v beta2 + (1 - beta2) g g                          the last product is fused
//   w = w d + (-lr / c1) m / (sqrt(v) / sqrt(c2) + eps)
//
// The last count % 8 weights of a call fuse v's other product, as LibTorch does: (1 - beta2) g g + v beta2. Only there do bits depend on where
// a call ends.
#pragma once

#include <cstdint>

namespace ft::kernels {

// Settings of AdamW, and what changes from step to step.
struct AdamWStep {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  int64_t steps = 1;  // Done with this one.
};

struct AdamWArrays {
  float* values = nullptr;
  const float* gradients = nullptr;
  float* first = nullptr;  // Moments.
  float* second = nullptr;
};

// Calls may divide weights at multiples of so many, and change no bit.
inline constexpr int64_t kAdamWUnit = 16;

// One update of the weights [begin, end) and their moments in place. Thread-safe. REQUIRES: the arrays do not overlap.
void AdamW(const AdamWStep& step, const AdamWArrays& arrays, int64_t begin, int64_t end);

}  // namespace ft::kernels
