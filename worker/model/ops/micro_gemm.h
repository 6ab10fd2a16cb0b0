// A GEMM of a few tiles on the calling thread, by oneDNN's batch-reduce GEMM (brgemm) as LibTorch exports it:
// float32 accumulators whatever the type of a and b. Bits depend on the CPU's instruction set only.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::ops {

// c (+)= a b: a is rows x inner, b inner x columns as kernels/panel/panel.h packs a right-hand side, c rows x
// columns. Strides are distances of rows, b's in columns.
template <typename T>
struct MicroGemm {
  int64_t rows = 0, columns = 0, inner = 0;
  const T* a = nullptr;
  int64_t a_stride = 0;
  const T* b = nullptr;
  int64_t b_stride = 0;
  float* c = nullptr;
  int64_t c_stride = 0;
  bool add = false;
};

template <typename T>
void Multiply(const MicroGemm<T>& gemm);

// Whether this process multiplies bfloat16: its CPU does, and no slower than float32, or EmulateBf16Products was called. Else
// Multiply<BF16> must not be called.
bool MultipliesBf16();

// From now on this process computes as on a CPU that multiplies bfloat16: where its own does not, Multiply<BF16> widens both
// sides, so that products are exact and added up in float32 as such a CPU does, and only the order of additions may differ. Slow:
// for tests and comparisons of numbers. REQUIRES: no other thread runs, and nothing has asked MultipliesBf16 for a decision.
void EmulateBf16Products();

}  // namespace ft::ops
