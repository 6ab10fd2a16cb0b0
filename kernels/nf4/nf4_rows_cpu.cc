// The SIMD versions. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/nf4/nf4_rows_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <algorithm>
#include <array>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/nf4/nf4_rows.h"
#include "kernels/number/prefetch.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR

void RowSums(const Nf4Matrix& weight, const Nf4RowBlocks& x, int64_t first, int64_t last, bool add,
             float* sums, int64_t stride) {
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t output = first; output < last; ++output) {
      float& sum = sums[row * stride + output - first];
      sum = Nf4RowSum(weight, output, x.steps + row * weight.columns,
                      x.factors + row * weight.columns / kNf4Block) +
            (add ? sum : 0);
    }
  }
}

#else

namespace hn = hwy::HWY_NAMESPACE;

// 32 bytes are a block; where vectors have 16, they take its halves, which are lanes 0 to 3 and 4 to 7.
using Codes = hn::CappedTag<uint8_t, 32>;
using Levels = hn::Repartition<int16_t, Codes>;
using Sums = hn::Repartition<int32_t, Codes>;
using Floats = hn::Repartition<float, Codes>;

constexpr int64_t kLanes = 8;
// Rows that are multiplied by looked-up codes while these are in registers.
constexpr int64_t kRows = 4;
// Blocks whose part of the rows stays in the core's first cache. Codes are best read in long runs: chunks of 64 blocks cost a quarter.
constexpr int64_t kChunkBlocks = 256;
// Outputs that share such a part.
constexpr int64_t kOutputs = 32;

// Byte `index` of the whole number of each code.
constexpr std::array<uint8_t, 16> BytesOfLevels(int index) {
  std::array<uint8_t, 16> bytes = {};
  for (int code = 0; code < 16; ++code) {
    bytes[static_cast<size_t>(code)] =
        static_cast<uint8_t>(static_cast<uint16_t>(Nf4Level(code)) >> (8 * index));
  }
  return bytes;
}
alignas(16) constexpr std::array<uint8_t, 16> kLowBytes = BytesOfLevels(0), kHighBytes = BytesOfLevels(1);

#if HWY_CAP_GE512

// The whole numbers of a block: even columns in the lower half of a vector, odd ones in the upper.
using BlockCodes = hn::FixedTag<uint8_t, 64>;
using BlockLevels = hn::Repartition<int16_t, BlockCodes>;
struct Numbers {
  hn::Vec<BlockLevels> groups_0_1, groups_2_3;
};

// One look-up for either byte of a number, which are then put together.
HWY_INLINE Numbers LookUp(const uint8_t* packed) {
  const BlockCodes d;
  const BlockLevels levels;
  const hn::Repartition<uint16_t, BlockCodes> pairs;
  const hn::Repartition<uint16_t, Codes> half_pairs;
  const auto stored = hn::LoadU(Codes(), packed);
  // What of its neighbour is shifted into a byte is masked out.
  const auto shifts = hn::Combine(pairs, hn::Zero(half_pairs), hn::Set(half_pairs, uint16_t{4}));
  const auto shifted = hn::Shr(hn::BitCast(pairs, hn::Combine(d, stored, stored)), shifts);
  const auto codes = hn::And(hn::BitCast(d, shifted), hn::Set(d, uint8_t{15}));
  const auto low = hn::TableLookupBytes(hn::LoadDup128(d, kLowBytes.data()), codes);
  const auto high = hn::TableLookupBytes(hn::LoadDup128(d, kHighBytes.data()), codes);
  return {hn::BitCast(levels, hn::InterleaveLower(d, low, high)),
          hn::BitCast(levels, hn::InterleaveUpper(d, low, high))};
}

// A block's products by lanes. `steps` are its columns of a row.
HWY_INLINE hn::Vec<Floats> BlockSum(const Numbers& numbers, const int16_t* steps) {
  const BlockLevels d;
  const hn::Repartition<int32_t, BlockCodes> sums;
  auto other = hn::Zero(sums);
  auto sum =
      hn::ReorderWidenMulAccumulate(sums, numbers.groups_0_1, hn::LoadU(d, steps), hn::Zero(sums), other);
  sum = hn::ReorderWidenMulAccumulate(sums, numbers.groups_2_3, hn::LoadU(d, steps + 4 * kLanes), sum, other);
  const auto both = hn::RearrangeToOddPlusEven(sum, other);
  return hn::ConvertTo(Floats(), hn::Add(hn::LowerHalf(Sums(), both), hn::UpperHalf(Sums(), both)));
}

#else

// The whole numbers of a block or, where vectors have 16 bytes, of a half.
struct Numbers {
  hn::Vec<Levels> group_0, group_1, group_2, group_3;
};

// One look-up for either byte of a number, which are then put together.
HWY_INLINE Numbers LookUp(const uint8_t* packed) {
  const Codes d;
  const Levels levels;
  const auto low_bytes = hn::LoadDup128(d, kLowBytes.data()),
             high_bytes = hn::LoadDup128(d, kHighBytes.data());
  const auto stored = hn::LoadU(d, packed);
  const auto even = hn::ShiftRight<4>(stored), odd = hn::And(stored, hn::Set(d, uint8_t{15}));
  const auto even_low = hn::TableLookupBytes(low_bytes, even),
             even_high = hn::TableLookupBytes(high_bytes, even);
  const auto odd_low = hn::TableLookupBytes(low_bytes, odd), odd_high = hn::TableLookupBytes(high_bytes, odd);
  return {hn::BitCast(levels, hn::InterleaveLower(d, even_low, even_high)),
          hn::BitCast(levels, hn::InterleaveLower(d, odd_low, odd_high)),
          hn::BitCast(levels, hn::InterleaveUpper(d, even_low, even_high)),
          hn::BitCast(levels, hn::InterleaveUpper(d, odd_low, odd_high))};
}

// A block's products by lanes. `steps` are its columns of a row, or their second half.
HWY_INLINE hn::Vec<Floats> BlockSum(const Numbers& numbers, const int16_t* steps) {
  const Levels d;
  const Sums sums;
  auto other = hn::Zero(sums);
  auto sum = hn::ReorderWidenMulAccumulate(sums, numbers.group_0, hn::LoadU(d, steps), hn::Zero(sums), other);
  sum = hn::ReorderWidenMulAccumulate(sums, numbers.group_1, hn::LoadU(d, steps + 2 * kLanes), sum, other);
  sum = hn::ReorderWidenMulAccumulate(sums, numbers.group_2, hn::LoadU(d, steps + 4 * kLanes), sum, other);
  sum = hn::ReorderWidenMulAccumulate(sums, numbers.group_3, hn::LoadU(d, steps + 6 * kLanes), sum, other);
  return hn::ConvertTo(Floats(), hn::RearrangeToOddPlusEven(sum, other));
}

#endif

// A part of a row of the matrix: codes and maxima of `blocks` blocks.
struct Chunk {
  const uint8_t* packed;
  const float* absmax;
  int64_t blocks;
};

// lanes[8 n ...] of row n, of `all_blocks` blocks from those of x on, go on with the chunk's products, `part` of lanes and of blocks' bytes
// at a time.
template <int64_t kCount>
HWY_INLINE void AddChunk(const Chunk& chunk, const Nf4RowBlocks& x, int64_t all_blocks, int64_t part,
                         float* lanes) {
  const Floats d;
  const uint8_t* packed = chunk.packed + 4 * part;
  const int16_t* steps = x.steps + 2 * part;
  lanes += part;
  auto s0 = hn::LoadU(d, lanes), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
  if constexpr (kCount > 1) s1 = hn::LoadU(d, lanes + kLanes);
  if constexpr (kCount > 2) s2 = hn::LoadU(d, lanes + 2 * kLanes);
  if constexpr (kCount > 3) s3 = hn::LoadU(d, lanes + 3 * kLanes);
  for (int64_t block = 0; block < chunk.blocks; ++block) {
    const Numbers numbers = LookUp(packed + block * (kNf4Block / 2));
    if (block % 2 == 0) hwy::Prefetch(packed + block * (kNf4Block / 2) + kPrefetchedBytes);
    const auto absmax = hn::Set(d, chunk.absmax[block]);
    const auto add = [&](int64_t row, hn::Vec<Floats> sum) HWY_ATTR {
      const int64_t at = row * all_blocks + block;
      const auto scale = hn::Mul(absmax, hn::Set(d, x.factors[at]));
      return hn::MulAdd(BlockSum(numbers, steps + at * kNf4Block), scale, sum);
    };
    s0 = add(0, s0);
    if constexpr (kCount > 1) s1 = add(1, s1);
    if constexpr (kCount > 2) s2 = add(2, s2);
    if constexpr (kCount > 3) s3 = add(3, s3);
  }
  hn::StoreU(s0, d, lanes);
  if constexpr (kCount > 1) hn::StoreU(s1, d, lanes + kLanes);
  if constexpr (kCount > 2) hn::StoreU(s2, d, lanes + 2 * kLanes);
  if constexpr (kCount > 3) hn::StoreU(s3, d, lanes + 3 * kLanes);
}

// Of `count` blocks from `first` on, in place or in `restored`: by a function of a file in which no instruction set fuses products and
// sums, as this one's do.
HWY_INLINE const float* Maxima(const Nf4Maxima& maxima, int64_t first, int64_t count, float* restored) {
  if (maxima.absmax != nullptr) return maxima.absmax + first;
  NestedDequantise(maxima.nested, first, first + count, restored);
  return restored;
}

HWY_INLINE float SumOfLanes(const float* lanes) {
  const float four[4] = {lanes[0] + lanes[4], lanes[1] + lanes[5], lanes[2] + lanes[6], lanes[3] + lanes[7]};
  return (four[0] + four[2]) + (four[1] + four[3]);
}

// The rows without the blocks before `first`.
HWY_INLINE Nf4RowBlocks RowsFrom(const Nf4RowBlocks& x, int64_t first) {
  return {x.steps + first * kNf4Block, x.factors + first, x.rows};
}

// Of kCount rows and at most kOutputs outputs.
template <int64_t kCount>
void Tile(const Nf4Matrix& weight, const Nf4RowBlocks& x, int64_t first, int64_t last, bool add, float* sums,
          int64_t stride) {
  const int64_t blocks = weight.columns / kNf4Block;
  float lanes[kOutputs][kCount * kLanes] = {};
  // Those of all outputs at once where rows are one chunk: calls for a few blocks each would cost as much as the products.
  float restored[kOutputs * kChunkBlocks];
  const bool one_chunk = blocks <= kChunkBlocks;
  const float* maxima =
      one_chunk ? Maxima(weight.maxima, first * blocks, (last - first) * blocks, restored) : nullptr;
  for (int64_t start = 0; start < blocks; start += kChunkBlocks) {
    const int64_t count = std::min(kChunkBlocks, blocks - start);
    for (int64_t output = first; output < last; ++output) {
      const int64_t block = output * blocks + start;
      const Chunk chunk{
          weight.packed + block * (kNf4Block / 2),
          one_chunk ? maxima + (output - first) * blocks : Maxima(weight.maxima, block, count, restored),
          count};
      for (int64_t part = 0; part < kLanes; part += static_cast<int64_t>(hn::Lanes(Floats()))) {
        AddChunk<kCount>(chunk, RowsFrom(x, start), blocks, part, lanes[output - first]);
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

void RowSums(const Nf4Matrix& weight, const Nf4RowBlocks& x, int64_t first, int64_t last, bool add,
             float* sums, int64_t stride) {
  constexpr decltype(&Tile<1>) kTiles[kRows] = {Tile<1>, Tile<2>, Tile<3>, Tile<4>};
  const int64_t blocks = weight.columns / kNf4Block;
  for (int64_t output = first; output < last; output += kOutputs) {
    const int64_t end = std::min(last, output + kOutputs);
    for (int64_t row = 0; row < x.rows; row += kRows) {
      const auto count = static_cast<size_t>(std::min(kRows, x.rows - row));
      kTiles[count - 1](weight, RowsFrom(x, row * blocks), output, end, add,
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

void Nf4RowSums(const Nf4Matrix& weight, const Nf4RowBlocks& x, int64_t first, int64_t last, bool add,
                float* sums, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(RowSums)(weight, x, first, last, add, sums, stride);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
