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

// Whether this CPU multiplies bfloat16; else Multiply<BF16> must not be called.
bool MultipliesBf16();

}  // namespace ft::ops
