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
    ordered_.resize(x_.size());
    for (int64_t row = 0; row < rows; ++row)
      OrderNf4Columns(x_.data() + row * columns, columns, ordered_.data() + row * columns);
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
    Nf4RowSums(weight_, {ordered_.data(), GetParam().rows}, first, last, false, sums.data(), last - first);
    return sums;
  }

  std::vector<uint8_t> packed_, codes_;
  std::vector<float> absmax_, nested_, x_, ordered_;
  Nf4Matrix weight_;
};

TEST_P(Nf4Rows, EqualTheDefinitionAndTheDequantisedProduct) {
  const auto& [rows, columns, outputs, nested] = GetParam();
  const std::vector<float> sums = Sums(0, outputs);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t output = 0; output < outputs; ++output) {
      const float sum = sums[row * outputs + output];
      double exact = 0, size = 0;
      for (int64_t i = 0; i < columns; ++i) {
        const int64_t value = output * columns + i;
        const uint8_t code = i % 2 == 0 ? packed_[value / 2] >> 4 : packed_[value / 2] & 15;
        const double product = static_cast<double>(kNf4Code[code]) *
                               static_cast<double>(weight_.maxima.Of(value / kNf4Block)) *
                               static_cast<double>(x_[row * columns + i]);
        exact += product;
        size += std::fabs(product);
      }
      ASSERT_NEAR(sum, exact, 1e-6 * size) << row << ", " << output;
      if (FusesMultiplyAdds()) {
        ASSERT_EQ(sum, Nf4RowSum(weight_, output, ordered_.data() + row * columns)) << row << ", " << output;
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
    Nf4RowSums(weight_, {ordered_.data() + row * columns, 1}, 0, outputs, false, alone.data(), outputs);
    for (int64_t output = 0; output < outputs; ++output)
      ASSERT_EQ(alone[output], whole[row * outputs + output]) << row << ", " << output;
  }
}

TEST_P(Nf4Rows, AreAddedToWhatIsThereAndNothingElseIsWritten) {
  const auto& [rows, columns, outputs, nested] = GetParam();
  const std::vector<float> sums = Sums(0, outputs);
  const int64_t stride = outputs + 3;
  std::vector<float> wider(rows * stride, 0.5f);
  Nf4RowSums(weight_, {ordered_.data(), rows}, 0, outputs, true, wider.data(), stride);
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

TEST(Nf4RowsOrder, TakesEveryColumnOfABlockOnce) {
  std::vector<float> columns(2 * kNf4Block), ordered(columns.size());
  for (size_t i = 0; i < columns.size(); ++i) columns[i] = static_cast<float>(i);
  OrderNf4Columns(columns.data(), 2 * kNf4Block, ordered.data());
  for (int64_t place = 0; place < kNf4Block; ++place) {
    EXPECT_EQ(ordered[place], static_cast<float>(Nf4ColumnAt(place)));
    EXPECT_EQ(ordered[kNf4Block + place], static_cast<float>(kNf4Block + Nf4ColumnAt(place)));
  }
  std::vector<float> sorted = ordered;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, columns);
}

}  // namespace
}  // namespace ft::kernels
