#include "kernels/nf4/nf4.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/dynamic_map/dynamic_map.h"
#include "kernels/nf4/nf4_grid.h"

namespace ft::kernels {
namespace {

std::vector<float> Values(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) {
    const float scale = i / 64 % 3 == 0 ? 1e-6f : 1.0f;
    values.push_back(i / 64 % 5 == 1 ? 0.0f : scale * normal(random));
  }
  if (count > 3) values[3] = 100;  // An outlier.
  return values;
}

class Nf4Counts : public ::testing::TestWithParam<int64_t> {};

TEST_P(Nf4Counts, ArrayFunctionsEqualTheDefinitionBitForBit) {
  const int64_t count = GetParam(), blocks = Nf4Blocks(count);
  const std::vector<float> values = Values(count, static_cast<uint32_t>(count));
  std::vector<uint8_t> packed((count + 1) / 2, 0xee);
  std::vector<float> absmax(blocks), out(count);
  std::vector<BF16> out_bf16(count);
  Nf4Quantise(values.data(), count, 0, blocks, packed.data(), absmax.data());
  Nf4Dequantise<float>(packed.data(), absmax.data(), count, 0, blocks, out.data());
  Nf4Dequantise<BF16>(packed.data(), absmax.data(), count, 0, blocks, out_bf16.data());
  for (int64_t i = 0; i < count; ++i) {
    const int64_t block = i / kNf4Block, end = std::min(count, (block + 1) * kNf4Block);
    float largest = 0;
    for (int64_t j = block * kNf4Block; j < end; ++j) largest = std::max(largest, std::fabs(values[j]));
    ASSERT_EQ(absmax[block], largest);
    const uint8_t code = i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15;
    ASSERT_EQ(code, Nf4Nearest(values[i], largest)) << i;
    ASSERT_EQ(out[i], Nf4Value(code, largest)) << i;
    ASSERT_EQ(out_bf16[i].bits, FromFloat<BF16>(out[i]).bits) << i;
  }
  if (count % 2 == 1) {
    EXPECT_EQ(packed.back() & 15, 0);
  }
}

TEST_P(Nf4Counts, WorkDividedAmongThreadsGivesTheSameBits) {
  const int64_t count = GetParam(), blocks = Nf4Blocks(count);
  const std::vector<float> values = Values(count, 7);
  std::vector<uint8_t> whole((count + 1) / 2), parts(whole.size());
  std::vector<float> absmax(blocks), absmax_parts(blocks), out(count), out_parts(count);
  Nf4Quantise(values.data(), count, 0, blocks, whole.data(), absmax.data());
  Nf4Dequantise<float>(whole.data(), absmax.data(), count, 0, blocks, out.data());
  for (int64_t block = 0; block < blocks; ++block) {
    Nf4Quantise(values.data(), count, block, block + 1, parts.data(), absmax_parts.data());
    Nf4Dequantise<float>(whole.data(), absmax.data(), count, block, block + 1, out_parts.data());
  }
  EXPECT_EQ(whole, parts);
  EXPECT_EQ(absmax, absmax_parts);
  EXPECT_EQ(out, out_parts);
}

TEST_P(Nf4Counts, AnyPartEqualsTheWholeBitForBit) {
  const int64_t count = std::min<int64_t>(GetParam(), 4000), blocks = Nf4Blocks(count);
  const std::vector<float> values = Values(count, 11);
  std::vector<uint8_t> packed((count + 1) / 2);
  std::vector<float> absmax(blocks), out(count);
  Nf4Quantise(values.data(), count, 0, blocks, packed.data(), absmax.data());
  Nf4Dequantise<float>(packed.data(), absmax.data(), count, 0, blocks, out.data());
  const int64_t starts[] = {0, 1, 32, 63, 64, 96}, sizes[] = {1, 32, 33, 64, 96, 512, count};
  for (const int64_t first : starts) {
    for (const int64_t wanted : sizes) {
      const int64_t size = std::min(wanted, count - first);
      if (size <= 0) continue;
      std::vector<float> part(size + 1, -7);
      std::vector<BF16> part_bf16(size + 1, BF16{7});
      Nf4DequantiseRange(packed.data(), absmax.data(), first, size, part.data());
      Nf4DequantiseRange(packed.data(), absmax.data(), first, size, part_bf16.data());
      for (int64_t i = 0; i < size; ++i) {
        ASSERT_EQ(part[i], out[first + i]) << first << " + " << i;
        ASSERT_EQ(part_bf16[i].bits, FromFloat<BF16>(part[i]).bits) << first << " + " << i;
      }
      EXPECT_EQ(part[size], -7);
      EXPECT_EQ(part_bf16[size].bits, 7);
    }
  }
}

TEST_P(Nf4Counts, GridBodyEqualsTheArrayFunctionBitForBit) {
  const int64_t count = GetParam(), blocks = Nf4Blocks(count);
  const std::vector<float> values = Values(count, static_cast<uint32_t>(count));
  std::vector<uint8_t> packed((count + 1) / 2), grid_packed(packed.size(), 0xee);
  std::vector<float> absmax(blocks), grid_absmax(blocks);
  Nf4Quantise(values.data(), count, 0, blocks, packed.data(), absmax.data());
  Emulate(Nf4QuantiseBody{values.data(), count, grid_packed.data(), grid_absmax.data()});
  EXPECT_EQ(packed, grid_packed);
  EXPECT_EQ(absmax, grid_absmax);
}

INSTANTIATE_TEST_SUITE_P(Odd, Nf4Counts,
                         ::testing::Values(1, 2, 21, 63, 64, 65, 128, 129, 2145, 64 * 257 + 3));

// A matrix dequantised into rows of a wider one, from and to addresses of any alignment.
struct StridedCase {
  int64_t rows, columns, gap;  // Values between rows.
  int64_t shift;               // Of the addresses of codes and result.
};

class Nf4Strides : public ::testing::TestWithParam<StridedCase> {
 protected:
  static constexpr float kUntouched = 77;

  template <typename T>
  static void ExpectDefinition(const std::vector<uint8_t>& packed, const Nf4Maxima& maxima,
                               const std::vector<float>& absmax) {
    const auto [rows, columns, gap, shift] = GetParam();
    const int64_t stride = columns + gap;
    std::vector<T> out(shift + rows * stride + 16, FromFloat<T>(kUntouched));
    T* begin = out.data() + shift;
    Emulate(Nf4DequantiseBody<T>{packed.data() + shift, maxima, rows, columns, begin, stride});
    for (int64_t i = 0; i < rows * stride + 16; ++i) {
      const int64_t row = i / stride, column = i % stride, value = row * columns + column;
      float expected = kUntouched;
      if (row < rows && column < columns) {
        const uint8_t byte = packed[shift + value / 2];
        expected = Nf4Value(value % 2 == 0 ? byte >> 4 : byte & 15, absmax[value / kNf4Block]);
      }
      ASSERT_EQ(ToFloat(begin[i]), ToFloat(FromFloat<T>(expected))) << row << ", " << column;
    }
  }
};

TEST_P(Nf4Strides, GridBodyEqualsTheDefinitionBitForBit) {
  const auto [rows, columns, gap, shift] = GetParam();
  const int64_t count = rows * columns, blocks = Nf4Blocks(count);
  std::mt19937 random(static_cast<uint32_t>(count));
  std::vector<uint8_t> packed(shift + (count + 1) / 2), codes(blocks);
  for (uint8_t& byte : packed) byte = static_cast<uint8_t>(random());
  std::vector<float> absmax(blocks), nested(NestedBlocks(blocks)), restored(blocks);
  for (float& largest : absmax) largest = static_cast<float>(random() % 1000) / 300;
  const float offset = NestedOffset(absmax.data(), blocks);
  NestedQuantise(absmax.data(), blocks, offset, 0, NestedBlocks(blocks), {codes.data(), nested.data()});
  const NestedIn in{codes.data(), nested.data(), offset};
  NestedDequantise(in, 0, blocks, restored.data());
  const Nf4Maxima plain{.absmax = absmax.data()}, double_quantised{.nested = in, .map = DynamicMapSigned()};
  ExpectDefinition<float>(packed, plain, absmax);
  ExpectDefinition<BF16>(packed, plain, absmax);
  ExpectDefinition<float>(packed, double_quantised, restored);
  ExpectDefinition<BF16>(packed, double_quantised, restored);
}

INSTANTIATE_TEST_SUITE_P(Odd, Nf4Strides,
                         ::testing::Values(StridedCase{1, 1, 0, 0}, StridedCase{1, 16, 0, 0},
                                           StridedCase{3, 5, 2, 0}, StridedCase{7, 48, 8, 0},
                                           StridedCase{7, 48, 8, 1}, StridedCase{5, 64, 3, 0},
                                           StridedCase{33, 70, 10, 8}, StridedCase{1, 2145, 0, 0},
                                           StridedCase{130, 272, 16, 0}, StridedCase{1, 64 * 257 + 3, 0, 8}));

TEST(Nf4, ResultsThatNoCacheHoldsAreTheSame) {
  constexpr int64_t kCount = (9 << 20) + 5;  // More than 16 MiB also of bfloat16.
  std::vector<uint8_t> packed((kCount + 1) / 2);
  std::vector<float> absmax(Nf4Blocks(kCount));
  std::mt19937 random(5);
  for (uint8_t& byte : packed) byte = static_cast<uint8_t>(random());
  for (float& largest : absmax) largest = static_cast<float>(random() % 1000) / 100;
  const auto equal = [&](auto type) {
    using T = decltype(type);
    std::vector<T> whole(kCount + 64), parts(kCount);
    // Where a cache line begins, as tensors do.
    T* out = whole.data();
    while (reinterpret_cast<uintptr_t>(out) % 64 != 0) ++out;
    Nf4Dequantise<T>(packed.data(), absmax.data(), kCount, 0, Nf4Blocks(kCount), out);
    Nf4DequantiseRange<T>(packed.data(), absmax.data(), 0, kCount, parts.data());
    return std::memcmp(out, parts.data(), kCount * sizeof(T)) == 0;
  };
  EXPECT_TRUE(equal(float{}));
  EXPECT_TRUE(equal(BF16{}));
}

TEST(Nf4, EveryValueGoesToTheNearestCode) {
  for (int i = -4000; i <= 4000; ++i) {
    const float value = static_cast<float>(i) / 4000;
    const uint8_t code = Nf4Nearest(value, 1);
    for (float other : kNf4Code) {
      EXPECT_LE(std::fabs(double{value} - kNf4Code[code]), std::fabs(double{value} - other)) << value;
    }
  }
}

TEST(Nf4, MiddlesGoToTheLowerCodeInBothVersions) {
  std::vector<float> values(64, 0);
  values[0] = 1;
  for (int i = 0; i < 15; ++i) values[i + 1] = (kNf4Code[i] + kNf4Code[i + 1]) / 2;
  std::vector<uint8_t> packed(32);
  float absmax = 0;
  Nf4Quantise(values.data(), 64, 0, 1, packed.data(), &absmax);
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(i % 2 == 0 ? packed[i / 2] >> 4 : packed[i / 2] & 15, Nf4Nearest(values[i], 1)) << i;
  }
}

TEST(Nested, EveryMaximumGoesToTheNearestOfTheMap) {
  const float* map = DynamicMapSigned();
  std::vector<float> absmax;
  for (int i = -256; i < 256; ++i) absmax.push_back(static_cast<float>(i) / 256);
  for (int i = 0; i + 1 < 256; ++i) absmax.push_back((map[i] + map[i + 1]) / 2);
  absmax.resize(768, 1.0f);  // So that every nested block's largest is 1.
  for (size_t i = 0; i < absmax.size(); i += 256) absmax[i] = -1;
  std::vector<uint8_t> codes(absmax.size());
  std::vector<float> nested(3);
  NestedQuantise(absmax.data(), 768, 0, 0, 3, {codes.data(), nested.data()});
  for (size_t i = 0; i < absmax.size(); ++i) {
    for (int other = 0; other < 256; ++other) {
      const double chosen = std::fabs(double{absmax[i]} - map[codes[i]]),
                   there = std::fabs(double{absmax[i]} - map[other]);
      ASSERT_TRUE(chosen < there || (chosen == there && codes[i] <= other)) << absmax[i];
    }
  }
}

TEST(Nested, MaximaComeBackWithinHalfAStep) {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(0.5f, 2);
  std::vector<float> absmax(777), back(777);
  for (float& value : absmax) value = uniform(random);
  std::vector<uint8_t> codes(777);
  std::vector<float> nested((777 + 255) / 256);
  const float offset = NestedOffset(absmax.data(), 777);
  NestedQuantise(absmax.data(), 777, offset, 0, 4, {codes.data(), nested.data()});
  NestedDequantise({codes.data(), nested.data(), offset}, 0, 777, back.data());
  for (size_t i = 0; i < absmax.size(); ++i) EXPECT_NEAR(back[i], absmax[i], 0.008f * nested[i / 256]);
  // A part alone gives the same.
  std::vector<float> part(300);
  NestedDequantise({codes.data(), nested.data(), offset}, 200, 500, part.data());
  EXPECT_TRUE(std::equal(part.begin(), part.end(), back.begin() + 200));
}

TEST(Nested, GridBodyEqualsTheArrayFunctionBitForBit) {
  for (const int64_t blocks : {1, 255, 256, 257, 1025}) {
    std::vector<float> absmax(blocks), out(blocks), grid_out(blocks);
    for (int64_t i = 0; i < blocks; ++i) absmax[i] = 0.5f + 0.37f * static_cast<float>(i % 13);
    std::vector<uint8_t> codes(blocks);
    std::vector<float> nested((blocks + 255) / 256);
    const float offset = NestedOffset(absmax.data(), blocks);
    NestedQuantise(absmax.data(), blocks, offset, 0, NestedBlocks(blocks), {codes.data(), nested.data()});
    const NestedIn in{codes.data(), nested.data(), offset};
    NestedDequantise(in, 0, blocks, out.data());
    Emulate(NestedDequantiseBody{in, DynamicMapSigned(), blocks, grid_out.data()});
    EXPECT_EQ(out, grid_out);
  }
}

TEST(Nested, EqualMaximaComeBackExactly) {
  const std::vector<float> absmax(5, 0.75f);
  uint8_t codes[5];
  float nested = -1;
  const float offset = NestedOffset(absmax.data(), 5);
  NestedQuantise(absmax.data(), 5, offset, 0, 1, {codes, &nested});
  float back[5];
  NestedDequantise({codes, &nested, offset}, 0, 5, back);
  for (float value : back) EXPECT_EQ(value, 0.75f);
}

}  // namespace
}  // namespace ft::kernels
