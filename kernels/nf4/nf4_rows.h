// Products of few rows with a matrix in NF4, straight from its codes: they are read once, looked up in registers and never written, so that
// one row, a token that is generated, costs the time of reading half a byte a weight. Legend: N rows, I inputs, O outputs.
//
// sum(n, o) = x[n] . w[o], over values code x absmax that are rounded nowhere: a block's products are added up first, and multiplied by the
// block's absmax once. The order, in float32 with fused multiply-adds: each of 8 lanes adds up 4 products of even columns of a block and 4
// of odd ones, then the two sums, whose sum times absmax it adds to what it has of the blocks before; at last lanes are added in pairs that
// lie 4, 2 and 1 apart. Nf4RowSum below is the definition. The array function is SIMD, dispatched at run time, and bit-equal to it on CPUs
// with fused multiply-adds (elsewhere products are rounded before they are added), however rows and outputs are divided. Thread-safe.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/nf4/nf4_grid.h"

namespace ft::kernels {

// O x I values in NF4, each row of whole blocks.
struct Nf4Matrix {
  const uint8_t* packed = nullptr;
  Nf4Maxima maxima;
  int64_t columns = 0;  // I, a multiple of kNf4Block.
};

// Rows whose columns stand in the order in which codes are looked up.
struct Nf4OrderedRows {
  const float* data = nullptr;  // One row behind the other.
  int64_t rows = 0;
};

// A block's columns: eight groups of eight lanes, groups 0 to 3 of even columns, 4 to 7 of odd ones. The column that is in its `place`.
constexpr int64_t Nf4ColumnAt(int64_t place) {
  const int64_t group = place / 8, lane = place % 8;
  const int64_t byte = lane / 4 * 16 + group % 4 * 4 + lane % 4;
  return 2 * byte + group / 4;
}

// `columns` values of a row, a multiple of kNf4Block, into the order of Nf4OrderedRows.
template <typename T>
void OrderNf4Columns(const T* row, int64_t columns, float* out) {
  for (int64_t start = 0; start < columns; start += kNf4Block) {
    for (int64_t place = 0; place < kNf4Block; ++place) {
      out[start + place] = ToFloat(row[start + Nf4ColumnAt(place)]);
    }
  }
}

// The definition: `x` is an ordered row.
inline float Nf4RowSum(const Nf4Matrix& weight, int64_t output, const float* x) {
  float lanes[8] = {};
  for (int64_t start = 0; start < weight.columns; start += kNf4Block) {
    const int64_t first = output * weight.columns + start;
    for (int64_t lane = 0; lane < 8; ++lane) {
      float sums[2] = {};
      for (int64_t group = 0; group < 8; ++group) {
        const int64_t place = 8 * group + lane, value = first + Nf4ColumnAt(place);
        const uint8_t byte = weight.packed[value / 2];
        const float code = kNf4Code[value % 2 == 0 ? byte >> 4 : byte & 15];
        sums[group / 4] = std::fma(code, x[start + place], sums[group / 4]);
      }
      lanes[lane] = std::fma(sums[0] + sums[1], weight.maxima.Of(first / kNf4Block), lanes[lane]);
    }
  }
  for (int64_t half = 4; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

// Sums of outputs [first, last): that of row n and output o into sums[n * stride + o - first], or added to it.
void Nf4RowSums(const Nf4Matrix& weight, const Nf4OrderedRows& x, int64_t first, int64_t last, bool add,
                float* sums, int64_t stride);

}  // namespace ft::kernels
