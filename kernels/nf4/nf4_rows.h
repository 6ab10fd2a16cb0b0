// Products of few rows with a matrix in NF4, straight from its codes: they are read once, looked up in registers and never written, so that
// one row, a token that is generated, costs the time of reading half a byte a weight. Legend: N rows, I inputs, O outputs.
//
// Codes and a block's columns of x are whole numbers of 15 bits with their sign: code c is round(c * kNf4Levels), and a column of x that many
// steps, of which the largest of its 64 columns has kNf4Levels. So half a step, 3e-5 of the largest, is what both are rounded by; bfloat16,
// of 8 bits, rounds by 64 times as much. The products of a block fit 32 bits and are added up exactly:
//
//   sum(n, o) = sum over blocks of (sum of code * column) * absmax * factor
//
// The order, in float32 with fused multiply-adds: each of 8 lanes takes 8 columns of a block, whose sum times (absmax * factor) it adds to what
// it has of the blocks before; at last lanes are added in pairs that lie 4, 2 and 1 apart. Nf4RowSum below is the definition. The array
// function is SIMD, dispatched at run time, and bit-equal to it on CPUs with fused multiply-adds (elsewhere products are rounded before they
// are added), however rows and outputs are divided. Thread-safe.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/nf4/nf4_grid.h"

namespace ft::kernels {

// The whole number that stands for 1, or for the largest of a block: eight products of two such numbers, a lane's share, fit 31 bits.
inline constexpr int32_t kNf4Levels = 16383;
static_assert(int64_t{8} * kNf4Levels * kNf4Levels <= INT32_MAX);

// O x I values in NF4, each row of whole blocks.
struct Nf4Matrix {
  const uint8_t* packed = nullptr;
  Nf4Maxima maxima;
  int64_t columns = 0;  // I, a multiple of kNf4Block.
};

// Rows by blocks of 64 columns, one row behind the other, whose whole numbers stand in the order in which codes are looked up.
struct Nf4RowBlocks {
  const int16_t* steps = nullptr;  // N x I.
  const float* factors =
      nullptr;  // N x I / 64: a block's step over kNf4Levels, so that its products with codes are what they stand for.
  int64_t rows = 0;
};

// A block's columns: four groups of 16, groups 0 and 2 of even columns, 1 and 3 of odd ones. The column that is in its `place`; a lane takes
// places 2 lane and 2 lane + 1 of each group.
constexpr int64_t Nf4ColumnAt(int64_t place) {
  const int64_t group = place / 16, i = place % 16;
  const int64_t byte = i / 8 * 16 + group / 2 * 8 + i % 8;
  return 2 * byte + group % 2;
}

// The whole number of a code.
constexpr int16_t Nf4Level(int code) {
  const float level = kNf4Code[code] * static_cast<float>(kNf4Levels);
  return static_cast<int16_t>(level < 0 ? level - 0.5f : level + 0.5f);
}

// A block of a row: 64 whole numbers, halves to even, and what returns as its factor. A block that holds a value that is not finite has a factor
// that is not a number, so that sums are none either; one whose largest is below 2e-37 counts as zeros.
template <typename T>
float StoreNf4RowBlock(const T* row, int16_t* steps) {
  float largest = 0, sum = 0;
  for (int64_t i = 0; i < kNf4Block; ++i) {
    const float value = ToFloat(row[i]);
    largest = std::max(largest, std::fabs(value));
    sum += value;
  }
  const float levels = kNf4Levels, step = largest / levels;
  if (step == 0 || !std::isfinite(largest) || std::isnan(sum)) {
    std::fill_n(steps, kNf4Block, int16_t{0});
    return step == 0 && !std::isnan(sum) ? 0 : NAN;
  }
  // Adding it rounds a float32 below 2^22 to whole numbers.
  constexpr float kWhole = 12582912.0f;
  for (int64_t place = 0; place < kNf4Block; ++place) {
    const float value = std::clamp(ToFloat(row[Nf4ColumnAt(place)]) / step, -levels, levels);
    steps[place] = static_cast<int16_t>(value + kWhole - kWhole);
  }
  return step / levels;
}

// The definition: `steps` and `factors` are a row's.
inline float Nf4RowSum(const Nf4Matrix& weight, int64_t output, const int16_t* steps, const float* factors) {
  float lanes[8] = {};
  for (int64_t start = 0; start < weight.columns; start += kNf4Block) {
    const int64_t first = output * weight.columns + start;
    for (int64_t lane = 0; lane < 8; ++lane) {
      int32_t sum = 0;
      for (int64_t product = 0; product < 8; ++product) {
        const int64_t place = product / 2 * 16 + 2 * lane + product % 2, value = first + Nf4ColumnAt(place);
        const uint8_t byte = weight.packed[value / 2];
        sum += Nf4Level(value % 2 == 0 ? byte >> 4 : byte & 15) * steps[start + place];
      }
      const float scale = weight.maxima.Of(first / kNf4Block) * factors[start / kNf4Block];
      lanes[lane] = std::fma(static_cast<float>(sum), scale, lanes[lane]);
    }
  }
  for (int64_t half = 4; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

// Sums of outputs [first, last): that of row n and output o into sums[n * stride + o - first], or added to it.
void Nf4RowSums(const Nf4Matrix& weight, const Nf4RowBlocks& x, int64_t first, int64_t last, bool add,
                float* sums, int64_t stride);

}  // namespace ft::kernels
