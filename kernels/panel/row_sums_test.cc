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

}  // namespace
}  // namespace ft::kernels
