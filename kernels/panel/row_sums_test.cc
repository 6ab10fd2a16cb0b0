#include "kernels/panel/row_sums.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/number/multiply_adds_fixture.h"

namespace ft::kernels {
namespace {

// The definition's order.
float Expected(const float* w, const float* x, int64_t columns) {
  float sums[32] = {};
  for (int64_t i = 0; i < columns; ++i) sums[i % 32] = std::fma(w[i], x[i], sums[i % 32]);
  for (int64_t half = 16; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

template <typename T>
void ExpectRowSums(int64_t rows, int64_t outputs, int64_t columns) {
  SCOPED_TRACE(::testing::Message() << rows << " " << outputs << " " << columns);
  const int64_t w_stride = columns + 3, x_stride = columns + 1, stride = outputs + 2;
  std::mt19937 random(static_cast<uint32_t>(columns));
  std::normal_distribution<float> normal;
  std::vector<T> w(outputs * w_stride);
  std::vector<float> wide(w.size()), x(rows * x_stride), sums(rows * stride, 0.25f);
  for (size_t i = 0; i < w.size(); ++i) {
    w[i] = FromFloat<T>(normal(random));
    wide[i] = ToFloat(w[i]);
  }
  for (float& value : x) value = normal(random);
  const StridedRows<T> weight{w.data(), outputs, columns, w_stride};
  const StridedRows<float> left{x.data(), rows, columns, x_stride};
  RowSums<T>(weight, left, false, sums.data(), stride);
  std::vector<float> twice = sums;
  RowSums<T>(weight, left, true, twice.data(), stride);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t output = 0; output < stride; ++output) {
      const float sum = sums[row * stride + output];
      if (output >= outputs) {
        ASSERT_EQ(sum, 0.25f) << "beside the sums";
        continue;
      }
      const float expected = Expected(wide.data() + output * w_stride, x.data() + row * x_stride, columns);
      ASSERT_NEAR(sum, expected, 1e-4) << row << ", " << output;
      if (FusesMultiplyAdds()) {
        ASSERT_EQ(sum, expected) << row << ", " << output;
      }
      ASSERT_EQ(twice[row * stride + output], sum + sum) << row << ", " << output;
    }
  }
}

TEST(RowSums, EqualTheirDefinitionOverOddSizes) {
  for (const int64_t columns : {1, 31, 32, 33, 64, 576, 1030}) {
    for (const int64_t rows : {1, 3}) {
      ExpectRowSums<float>(rows, 5, columns);
      ExpectRowSums<BF16>(rows, 5, columns);
    }
  }
}

TEST(RowSums, OfCodesAreScaledByTheirRow) {
  for (const int64_t columns : {1, 31, 64, 1030}) {
    SCOPED_TRACE(columns);
    constexpr int64_t kRows = 3, kOutputs = 5, kStride = 7;
    std::mt19937 random(static_cast<uint32_t>(columns));
    std::normal_distribution<float> normal;
    std::vector<int8_t> codes(kOutputs * columns);
    std::vector<float> wide(codes.size()), x(kRows * columns), sums(kRows * kStride);
    for (size_t i = 0; i < codes.size(); ++i)
      wide[i] = codes[i] = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    for (float& value : x) value = normal(random);
    const float scale[kOutputs] = {1, 0.25f, 0, 1e-3f, 3};
    const auto add_sums = [&](bool add) {
      ScaledRowSums({codes.data(), kOutputs, columns, columns}, scale, {x.data(), kRows, columns, columns},
                    add, sums.data(), kStride);
    };
    add_sums(false);
    const std::vector<float> once = sums;
    add_sums(true);
    for (int64_t row = 0; row < kRows; ++row) {
      for (int64_t output = 0; output < kOutputs; ++output) {
        const int64_t at = row * kStride + output;
        const float expected =
            scale[output] * Expected(wide.data() + output * columns, x.data() + row * columns, columns);
        ASSERT_NEAR(once[at], expected, 1e-2) << row << ", " << output;
        if (FusesMultiplyAdds()) {
          ASSERT_EQ(once[at], expected) << row << ", " << output;
        }
        ASSERT_EQ(sums[at], once[at] + once[at]) << row << ", " << output;
      }
    }
  }
}

template <typename T>
void ExpectWeightedRows(int64_t rows, int64_t columns) {
  SCOPED_TRACE(::testing::Message() << rows << " " << columns);
  const int64_t stride = columns + 5;
  std::mt19937 random(static_cast<uint32_t>(rows + columns));
  std::normal_distribution<float> normal;
  std::vector<T> values(rows * stride);
  std::vector<float> weight(rows), sums(columns + 1, 0.5f);
  for (T& value : values) value = FromFloat<T>(normal(random));
  for (float& value : weight) value = normal(random);
  AddWeightedRows<T>({values.data(), rows, columns, stride}, weight.data(), sums.data());
  for (int64_t column = 0; column < columns; ++column) {
    float expected = 0.5f;
    for (int64_t row = 0; row < rows; ++row)
      expected = std::fma(weight[row], ToFloat(values[row * stride + column]), expected);
    ASSERT_NEAR(sums[column], expected, 1e-4) << column;
    if (FusesMultiplyAdds()) {
      ASSERT_EQ(sums[column], expected) << column;
    }
  }
  EXPECT_EQ(sums[columns], 0.5f) << "beside the sums";
}

TEST(WeightedRows, EqualTheirDefinitionOverOddSizes) {
  for (const int64_t columns : {1, 7, 8, 9, 64, 80, 131}) {
    for (const int64_t rows : {0, 1, 77}) {
      ExpectWeightedRows<float>(rows, columns);
      ExpectWeightedRows<BF16>(rows, columns);
    }
  }
}

}  // namespace
}  // namespace ft::kernels
