#include "kernels/nf4/nf4_rows.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/dynamic_map/dynamic_map.h"
#include "kernels/number/multiply_adds_fixture.h"

namespace ft::kernels {
namespace {

struct RowsCase {
  int64_t rows, columns, outputs;
  bool nested = false;
};

class Nf4Rows : public ::testing::TestWithParam<RowsCase> {
 protected:
  void SetUp() override {
    const auto& [rows, columns, outputs, nested] = GetParam();
    std::mt19937 random(static_cast<uint32_t>(rows * columns + outputs));
    std::normal_distribution<float> normal;
    const int64_t count = columns * outputs, blocks = Nf4Blocks(count);
    std::vector<float> values(count);
    for (int64_t i = 0; i < count; ++i)
      values[i] = i / 64 % 5 == 1 ? 0.0f : normal(random) * static_cast<float>(1 + i / 64 % 7);
    packed_.resize(count / 2);
    absmax_.resize(blocks);
    Nf4Quantise(values.data(), count, 0, blocks, packed_.data(), absmax_.data());
    weight_ = {packed_.data(), {.absmax = absmax_.data()}, columns};
    if (nested) Nest(blocks);
    x_.resize(rows * columns);
    for (float& value : x_) value = normal(random);
    steps_.resize(x_.size());
    factors_.resize(x_.size() / kNf4Block);
    for (size_t block = 0; block < factors_.size(); ++block)
      factors_[block] = StoreNf4RowBlock(&x_[block * kNf4Block], &steps_[block * kNf4Block]);
  }

  void Nest(int64_t blocks) {
    const float offset = NestedOffset(absmax_.data(), blocks);
    codes_.resize(blocks);
    nested_.resize(NestedBlocks(blocks));
    NestedQuantise(absmax_.data(), blocks, offset, 0, NestedBlocks(blocks), {codes_.data(), nested_.data()});
    weight_.maxima = {.nested = {codes_.data(), nested_.data(), offset}, .map = DynamicMapSigned()};
  }

  // Of outputs [first, last), one row behind the other.
  std::vector<float> Sums(int64_t first, int64_t last) const {
    std::vector<float> sums(GetParam().rows * (last - first), -7);
    Nf4RowSums(weight_, {steps_.data(), factors_.data(), GetParam().rows}, first, last, false, sums.data(),
               last - first);
    return sums;
  }

  const int16_t* StepsOf(int64_t row) const { return steps_.data() + row * GetParam().columns; }
  const float* FactorsOf(int64_t row) const { return factors_.data() + row * GetParam().columns / kNf4Block; }

  // What a row's block is rounded by at most: half a step of its largest value, in values of x.
  float HalfStep(int64_t row, int64_t column) const {
    return FactorsOf(row)[column / kNf4Block] * static_cast<float>(kNf4Levels) / 2;
  }

  std::vector<uint8_t> packed_, codes_;
  std::vector<float> absmax_, nested_, x_, factors_;
  std::vector<int16_t> steps_;
  Nf4Matrix weight_;
};

TEST_P(Nf4Rows, EqualTheDefinitionAndTheDequantisedProduct) {
  const auto& [rows, columns, outputs, nested] = GetParam();
  const std::vector<float> sums = Sums(0, outputs);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t output = 0; output < outputs; ++output) {
      const float sum = sums[row * outputs + output];
      double exact = 0, size = 0, rounded = 0;
      for (int64_t i = 0; i < columns; ++i) {
        const int64_t value = output * columns + i;
        const uint8_t code = i % 2 == 0 ? packed_[value / 2] >> 4 : packed_[value / 2] & 15;
        const double absmax = weight_.maxima.Of(value / kNf4Block), x = x_[row * columns + i];
        exact += static_cast<double>(kNf4Code[code]) * absmax * x;
        size += std::fabs(static_cast<double>(kNf4Code[code]) * absmax * x);
        rounded += std::fabs(absmax) *
                   (std::fabs(x) / kNf4Levels / 2 + HalfStep(row, i) * std::fabs(kNf4Code[code]));
      }
      ASSERT_NEAR(sum, exact, 1.001 * rounded + 1e-6 * size) << row << ", " << output;
      if (FusesMultiplyAdds()) {
        ASSERT_EQ(sum, Nf4RowSum(weight_, output, StepsOf(row), FactorsOf(row))) << row << ", " << output;
      }
    }
  }
}

TEST_P(Nf4Rows, AnyDivisionGivesTheSameBits) {
  const auto& [rows, columns, outputs, nested] = GetParam();
  const std::vector<float> whole = Sums(0, outputs);
  for (int64_t first = 0; first < outputs; first += 7) {
    const int64_t last = std::min(outputs, first + 7);
    const std::vector<float> part = Sums(first, last);
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t output = first; output < last; ++output) {
        ASSERT_EQ(part[row * (last - first) + output - first], whole[row * outputs + output])
            << row << ", " << output;
      }
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<float> alone(outputs);
    Nf4RowSums(weight_, {StepsOf(row), FactorsOf(row), 1}, 0, outputs, false, alone.data(), outputs);
    for (int64_t output = 0; output < outputs; ++output)
      ASSERT_EQ(alone[output], whole[row * outputs + output]) << row << ", " << output;
  }
}

TEST_P(Nf4Rows, AreAddedToWhatIsThereAndNothingElseIsWritten) {
  const auto& [rows, columns, outputs, nested] = GetParam();
  const std::vector<float> sums = Sums(0, outputs);
  const int64_t stride = outputs + 3;
  std::vector<float> wider(rows * stride, 0.5f);
  Nf4RowSums(weight_, {steps_.data(), factors_.data(), rows}, 0, outputs, true, wider.data(), stride);
  for (int64_t i = 0; i < rows * stride; ++i) {
    const int64_t row = i / stride, output = i % stride;
    ASSERT_EQ(wider[i], output < outputs ? sums[row * outputs + output] + 0.5f : 0.5f)
        << row << ", " << output;
  }
}

INSTANTIATE_TEST_SUITE_P(Odd, Nf4Rows,
                         ::testing::Values(RowsCase{1, 64, 1}, RowsCase{1, 576, 33, true},
                                           RowsCase{2, 128, 70}, RowsCase{3, 16448, 9, true},
                                           RowsCase{4, 192, 31}, RowsCase{5, 64, 65, true},
                                           RowsCase{8, 1536, 40, true}));

TEST(Nf4RowBlock, TakesEveryColumnOnceAndItsLargestInFull) {
  float row[kNf4Block];
  int16_t steps[kNf4Block];
  for (int64_t i = 0; i < kNf4Block; ++i) row[i] = static_cast<float>(i + 1) / 64;
  const float factor = StoreNf4RowBlock(row, steps);
  EXPECT_FLOAT_EQ(factor, 1.0f / kNf4Levels / kNf4Levels);
  for (int64_t place = 0; place < kNf4Block; ++place) {
    const float value = row[Nf4ColumnAt(place)];
    EXPECT_NEAR(steps[place], value * kNf4Levels, 0.51) << place;
    if (value == 1) {
      EXPECT_EQ(steps[place], kNf4Levels);
    }
  }
  std::vector<int16_t> sorted(steps, steps + kNf4Block);
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end());
}

// The sums of eight columns by hand: the largest numbers of either side, all of one sign.
TEST(Nf4RowBlock, TheLargestSumsFit) {
  for (const uint8_t codes : {0x00, 0xff}) {
    const std::vector<uint8_t> packed(kNf4Block / 2, codes);
    const float absmax = 2;
    std::vector<float> row(kNf4Block, -3);
    int16_t steps[kNf4Block];
    const float factor = StoreNf4RowBlock(row.data(), steps);
    float sum = 0;
    Nf4RowSums({packed.data(), {.absmax = &absmax}, kNf4Block}, {steps, &factor, 1}, 0, 1, false, &sum, 1);
    EXPECT_FLOAT_EQ(sum, codes == 0 ? 384 : -384);
  }
}

TEST(Nf4RowBlock, ValuesThatAreNotFiniteSpoilTheSumAndTinyOnesDoNot) {
  const std::vector<uint8_t> packed(kNf4Block / 2, 0x77);
  const float absmax = 1;
  const auto sum_with = [&](float value) {
    std::vector<float> row(kNf4Block);
    int16_t steps[kNf4Block];
    row[5] = value;
    const float factor = StoreNf4RowBlock(row.data(), steps);
    float sum = -1;
    Nf4RowSums({packed.data(), {.absmax = &absmax}, kNf4Block}, {steps, &factor, 1}, 0, 1, false, &sum, 1);
    return sum;
  };
  EXPECT_TRUE(std::isnan(sum_with(NAN)));
  EXPECT_TRUE(std::isnan(sum_with(INFINITY)));
  EXPECT_TRUE(std::isnan(sum_with(-INFINITY)));
  EXPECT_EQ(sum_with(0), 0);
  EXPECT_EQ(sum_with(1e-44f), 0);
}

}  // namespace
}  // namespace ft::kernels
