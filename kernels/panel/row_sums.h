// Products of few rows with a matrix whose rows lie in memory: each is read where it is, once, and nothing is packed. Legend: N rows of x,
// I inputs, O outputs; M rows that are added up, D their columns.
//
// sum(n, o) = x[n] . w[o] in float32 with fused multiply-adds: accumulator k of 32 takes columns k, k + 32, ... in their order; at last
// accumulators are added in pairs that lie 16, 8, 4, 2 and 1 apart. SIMD, dispatched at run time; the same bits on all CPUs with fused
// multiply-adds, however rows and outputs are divided. Thread-safe.
#pragma once

#include <cstdint>

#include "kernels/panel/panel.h"

namespace ft::kernels {

// The sum of row n of x and row o of the weight into sums[n * stride + o], or added to it. REQUIRES: as many columns on both sides.
template <typename T>
void RowSums(const StridedRows<T>& weight_OI, const StridedRows<float>& x_NI, bool add, float* sums,
             int64_t stride);

// The same of rows of int8 codes, each sum times the scale of its row of the weight: codes are widened and rounded to nothing.
void ScaledRowSums(const StridedRows<int8_t>& codes_OI, const float* scale_O, const StridedRows<float>& x_NI,
                   bool add, float* sums, int64_t stride);

// sums[d] += sum over rows of weight[row] * rows[row][d], row by row in their order, each product fused with its sum.
template <typename T>
void AddWeightedRows(const StridedRows<T>& rows_MD, const float* weight_M, float* sums_D);

}  // namespace ft::kernels
