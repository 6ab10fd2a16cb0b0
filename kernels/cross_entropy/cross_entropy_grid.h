// Cross entropy as a kernel body (kernels/grid/grid.h): one block of threads a row. Sums run in the order
// of BlockSum in float32, so losses and gradients agree with the array function within 1e-5 of their size.
#pragma once

#include <cmath>

#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/grid/grid.h"

namespace ft::kernels {

template <typename T>
struct CrossEntropyBody {
  static constexpr int kThreads = BlockSum::kThreads;
  static constexpr int kPhases = 7;
  struct Shared {
    BlockMax maximum;
    BlockSum sum;
  };

  CrossEntropyShape shape;
  int64_t rows = 0;
  const int64_t* targets = nullptr;
  T* logits = nullptr;
  double* loss = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(targets), f(logits), f(loss);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return rows; }

  FT_HOST_DEVICE void Run(int phase, const GridPoint& at, Shared& shared) const {
    T* row = logits + at.block * shape.vocabulary;
    if (phase == 0) {
      shared.maximum.ReduceItems(at, shape.vocabulary, [row](int64_t i) { return ToFloat(row[i]); });
    } else if (phase == 1) {
      shared.maximum.ReduceGroups(at);
    } else if (phase == 2) {
      shared.maximum.ReduceBlock(at);
    } else if (phase == 3) {
      const float maximum = shared.maximum.total;
      shared.sum.ReduceItems(at, shape.vocabulary,
                             [row, maximum](int64_t i) { return expf(ToFloat(row[i]) - maximum); });
    } else if (phase == 4) {
      shared.sum.ReduceGroups(at);
    } else if (phase == 5) {
      shared.sum.ReduceBlock(at);
      if (at.thread == 0) WriteLoss(at, shared);
    } else if (shape.gradient) {
      WriteGradient(at, shared, row);
    }
  }

 private:
  FT_HOST_DEVICE void WriteLoss(const GridPoint& at, const Shared& shared) const {
    const float target = ToFloat(logits[at.block * shape.vocabulary + targets[at.block]]);
    loss[at.block] = log(static_cast<double>(shared.sum.total)) + static_cast<double>(shared.maximum.total) -
                     static_cast<double>(target);
  }
  FT_HOST_DEVICE void WriteGradient(const GridPoint& at, const Shared& shared, T* row) const {
    for (int64_t i = at.thread; i < shape.vocabulary; i += kThreads) {
      const float probability = expf(ToFloat(row[i]) - shared.maximum.total) / shared.sum.total;
      row[i] = FromFloat<T>((probability - (i == targets[at.block] ? 1.0f : 0.0f)) * shape.gradient_scale);
    }
  }
};

}  // namespace ft::kernels
