// The SIMD versions. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/nf4/nf4_rows_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <algorithm>
#include <array>
#include <bit>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/nf4/nf4_rows.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

void RowSums(const Nf4Matrix& weight, const Nf4OrderedRows& x, int64_t first, int64_t last, bool add,
             float* sums, int64_t stride) {
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t output = first; output < last; ++output) {
      float& sum = sums[row * stride + output - first];
      sum = Nf4RowSum(weight, output, x.data + row * weight.columns) + (add ? sum : 0);
    }
  }
}

#else

namespace hn = hwy::HWY_NAMESPACE;

// 32 bytes are a block; where vectors have 16, they take its halves, which are lanes 0 to 3 and 4 to 7.
using Codes = hn::CappedTag<uint8_t, 32>;
using Pairs = hn::Repartition<uint16_t, Codes>;
using Floats = hn::Repartition<float, Codes>;
using Vector = hn::Vec<Floats>;

constexpr int64_t kLanes = 8;
// Rows that are multiplied by looked-up codes while these are in registers.
constexpr int64_t kRows = 4;
// Blocks whose part of the rows stays in the core's second cache. Codes are best read in long runs: chunks of 64 blocks cost a quarter.
constexpr int64_t kChunkBlocks = 256;
// How far ahead codes are asked for: the core itself does not look beyond a page.
constexpr int64_t kPrefetchedBytes = 1024;
// Outputs that share such a part.
constexpr int64_t kOutputs = 32;

// Byte `index` of the float32 of each code.
constexpr std::array<uint8_t, 16> BytesOfCodes(int index) {
  std::array<uint8_t, 16> bytes = {};
  for (size_t code = 0; code < 16; ++code) {
    bytes[code] = static_cast<uint8_t>(std::bit_cast<uint32_t>(kNf4Code[code]) >> (8 * index));
  }
  return bytes;
}
alignas(16) constexpr std::array<uint8_t, 16> kCodeBytes[4] = {BytesOfCodes(0), BytesOfCodes(1),
                                                               BytesOfCodes(2), BytesOfCodes(3)};

// The values of four vectors' worth of codes.
struct Values {
  Vector v0, v1, v2, v3;
};

// One look-up for each of the four bytes of a float32, which are then put together.
HWY_INLINE Values LookUp(hn::Vec<Codes> codes) {
  const Codes d;
  const Pairs pairs;
  const Floats floats;
  const auto byte = [&](int index) HWY_ATTR {
    return hn::TableLookupBytes(hn::LoadDup128(d, kCodeBytes[index].data()), codes);
  };
  const auto b0 = byte(0), b1 = byte(1), b2 = byte(2), b3 = byte(3);
  const auto low0 = hn::BitCast(pairs, hn::InterleaveLower(d, b0, b1)),
             high0 = hn::BitCast(pairs, hn::InterleaveLower(d, b2, b3));
  const auto low1 = hn::BitCast(pairs, hn::InterleaveUpper(d, b0, b1)),
             high1 = hn::BitCast(pairs, hn::InterleaveUpper(d, b2, b3));
  return {hn::BitCast(floats, hn::InterleaveLower(pairs, low0, high0)),
          hn::BitCast(floats, hn::InterleaveUpper(pairs, low0, high0)),
          hn::BitCast(floats, hn::InterleaveLower(pairs, low1, high1)),
          hn::BitCast(floats, hn::InterleaveUpper(pairs, low1, high1))};
}

// The products of four groups of columns, from `x` on, added up by lanes.
HWY_INLINE Vector GroupSum(const Values& values, const float* x) {
  const Floats d;
  auto sum = hn::Mul(values.v0, hn::LoadU(d, x));
  sum = hn::MulAdd(values.v1, hn::LoadU(d, x + kLanes), sum);
  sum = hn::MulAdd(values.v2, hn::LoadU(d, x + 2 * kLanes), sum);
  return hn::MulAdd(values.v3, hn::LoadU(d, x + 3 * kLanes), sum);
}

// A part of a row of the matrix: codes and maxima of `blocks` blocks.
struct Chunk {
  const uint8_t* packed;
  const float* absmax;
  int64_t blocks;
};

// lanes[8 n ...] of row n, which lies at x + n * stride, go on with the chunk's products, `part` of lanes and of blocks' bytes at a time.
template <int64_t kCount>
HWY_INLINE void AddChunk(const Chunk& chunk, const float* x, int64_t stride, int64_t part, float* lanes) {
  const Floats d;
  const Codes bytes;
  const auto mask = hn::Set(bytes, uint8_t{15});
  const uint8_t* packed = chunk.packed + 4 * part;
  x += part;
  lanes += part;
  auto s0 = hn::LoadU(d, lanes), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
  if constexpr (kCount > 1) s1 = hn::LoadU(d, lanes + kLanes);
  if constexpr (kCount > 2) s2 = hn::LoadU(d, lanes + 2 * kLanes);
  if constexpr (kCount > 3) s3 = hn::LoadU(d, lanes + 3 * kLanes);
  for (int64_t block = 0; block < chunk.blocks; ++block) {
    const auto codes = hn::LoadU(bytes, packed + block * (kNf4Block / 2));
    const Values even = LookUp(hn::ShiftRight<4>(codes)), odd = LookUp(hn::And(codes, mask));
    if (block % 2 == 0) hwy::Prefetch(packed + block * (kNf4Block / 2) + kPrefetchedBytes);
    const auto absmax = hn::Set(d, chunk.absmax[block]);
    const float* at = x + block * kNf4Block;
    const auto add = [&](const float* row, Vector sum) HWY_ATTR {
      return hn::MulAdd(hn::Add(GroupSum(even, row), GroupSum(odd, row + 4 * kLanes)), absmax, sum);
    };
    s0 = add(at, s0);
    if constexpr (kCount > 1) s1 = add(at + stride, s1);
    if constexpr (kCount > 2) s2 = add(at + 2 * stride, s2);
    if constexpr (kCount > 3) s3 = add(at + 3 * stride, s3);
  }
  hn::StoreU(s0, d, lanes);
  if constexpr (kCount > 1) hn::StoreU(s1, d, lanes + kLanes);
  if constexpr (kCount > 2) hn::StoreU(s2, d, lanes + 2 * kLanes);
  if constexpr (kCount > 3) hn::StoreU(s3, d, lanes + 3 * kLanes);
}

// Of `count` blocks from `first` on, in place or in `restored`: by a function that is compiled once, so that no instruction set fuses its
// product and sum.
HWY_INLINE const float* Maxima(const Nf4Maxima& maxima, int64_t first, int64_t count, float* restored) {
  if (maxima.absmax != nullptr) return maxima.absmax + first;
  NestedDequantise(maxima.nested, first, first + count, restored);
  return restored;
}

HWY_INLINE float SumOfLanes(const float* lanes) {
  const float four[4] = {lanes[0] + lanes[4], lanes[1] + lanes[5], lanes[2] + lanes[6], lanes[3] + lanes[7]};
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// Of kCount rows and at most kOutputs outputs.
template <int64_t kCount>
void Tile(const Nf4Matrix& weight, const float* x, int64_t first, int64_t last, bool add, float* sums,
          int64_t stride) {
  const int64_t blocks = weight.columns / kNf4Block;
  float lanes[kOutputs][kCount * kLanes] = {};
  for (int64_t start = 0; start < blocks; start += kChunkBlocks) {
    const int64_t count = std::min(kChunkBlocks, blocks - start);
    for (int64_t output = first; output < last; ++output) {
      const int64_t block = output * blocks + start;
      float restored[kChunkBlocks];
      const Chunk chunk{weight.packed + block * (kNf4Block / 2),
                        Maxima(weight.maxima, block, count, restored), count};
      for (int64_t part = 0; part < kLanes; part += static_cast<int64_t>(hn::Lanes(Floats()))) {
        AddChunk<kCount>(chunk, x + start * kNf4Block, weight.columns, part, lanes[output - first]);
      }
    }
  }
  for (int64_t output = first; output < last; ++output) {
    for (int64_t row = 0; row < kCount; ++row) {
      float& sum = sums[row * stride + output - first];
      sum = SumOfLanes(lanes[output - first] + row * kLanes) + (add ? sum : 0);
    }
  }
}

void RowSums(const Nf4Matrix& weight, const Nf4OrderedRows& x, int64_t first, int64_t last, bool add,
             float* sums, int64_t stride) {
  constexpr decltype(&Tile<1>) kTiles[kRows] = {Tile<1>, Tile<2>, Tile<3>, Tile<4>};
  for (int64_t output = first; output < last; output += kOutputs) {
    const int64_t end = std::min(last, output + kOutputs);
    for (int64_t row = 0; row < x.rows; row += kRows) {
      const auto count = static_cast<size_t>(std::min(kRows, x.rows - row));
      kTiles[count - 1](weight, x.data + row * weight.columns, output, end, add,
                        sums + row * stride + output - first, stride);
    }
  }
}

#endif

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(RowSums);

void Nf4RowSums(const Nf4Matrix& weight, const Nf4OrderedRows& x, int64_t first, int64_t last, bool add,
                float* sums, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(RowSums)(weight, x, first, last, add, sums, stride);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
