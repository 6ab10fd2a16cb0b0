// loss = log(sum_j exp(l_j)) - l_target of a row of logits l, and dloss/dl = softmax(l) - onehot(target),
// which takes the logits' place: a row is read once for its maximum, once for the sum, once to be
// overwritten. Computed in float32, sums of exponentials in float32 over runs of 1024 and in float64 over
// these; the gradient is rounded to T once. Arrays are dense, rows x vocabulary. Thread-safe.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

struct CrossEntropyShape {
  int64_t vocabulary = 0;
  bool gradient = false;     // Whether the logits are overwritten with their gradient.
  float gradient_scale = 1;  // Factor of the gradient.
};

// Rows [first, last). `loss[row]` receives the row's loss. REQUIRES: targets in [0, vocabulary).
template <typename T>
void CrossEntropyRows(const CrossEntropyShape& shape, int64_t first, int64_t last, const int64_t* targets,
                      T* logits, double* loss);

}  // namespace ft::kernels
