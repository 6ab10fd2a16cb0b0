#include "kernels/panel/panel.h"

#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace ft::kernels {
namespace {

// Rows that lie `stride` apart; every value is its index.
template <typename T>
struct Matrix {
  int64_t rows, columns, stride;
  std::vector<T> values;

  Matrix(int64_t rows, int64_t columns, int64_t gap)
      : rows(rows), columns(columns), stride(columns + gap), values(static_cast<size_t>(rows * stride)) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = FromFloat<T>(static_cast<float>(i + 1));
  }
  StridedRows<T> view() const { return {values.data(), rows, columns, stride}; }
  // The value, or the padding beyond the matrix.
  float at(int64_t row, int64_t column) const {
    return row < rows && column < columns ? ToFloat(values[static_cast<size_t>(row * stride + column)]) : 0;
  }
};

const struct {
  int64_t rows, columns, gap;
} kSizes[] = {{1, 1, 0},  {1, 2, 3},   {2, 7, 0},   {3, 8, 1},  {4, 16, 5},
              {5, 33, 0}, {32, 30, 2}, {33, 64, 0}, {64, 65, 7}};

// A right-hand side of inner x columns, value by value.
template <typename Out, typename Value>
void ExpectRightHandSide(const std::vector<Out>& packed, int64_t inner, int64_t columns, Value value) {
  constexpr int64_t group = kGroup<Out>;
  for (int64_t r = 0; r < Grouped<Out>(inner); ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const auto at = static_cast<size_t>(r / group * group * columns + c * group + r % group);
      ASSERT_EQ(ToFloat(packed[at]), value(r, c)) << inner << " x " << columns << " at " << r << ", " << c;
    }
  }
}

template <typename In, typename Out>
void PacksEverySize() {
  for (const auto& size : kSizes) {
    const Matrix<In> in(size.rows, size.columns, size.gap);
    std::vector<Out> transposed(static_cast<size_t>(size.rows * Grouped<Out>(size.columns)));
    PackTransposed(in.view(), transposed.data());
    ExpectRightHandSide(transposed, size.columns, size.rows,
                        [&](int64_t r, int64_t c) { return in.at(c, r); });
    std::vector<Out> rows(static_cast<size_t>(Grouped<Out>(size.rows) * size.columns));
    PackRows(in.view(), rows.data());
    ExpectRightHandSide(rows, size.rows, size.columns, [&](int64_t r, int64_t c) { return in.at(r, c); });
    std::vector<Out> copy(static_cast<size_t>(size.rows * size.columns));
    CopyRows(in.view(), copy.data());
    for (int64_t i = 0; i < size.rows * size.columns; ++i) {
      ASSERT_EQ(ToFloat(copy[static_cast<size_t>(i)]), in.at(i / size.columns, i % size.columns));
    }
  }
}

TEST(Panel, PacksFloatsOfEverySize) { PacksEverySize<float, float>(); }
TEST(Panel, PacksBfloat16OfEverySize) { PacksEverySize<BF16, BF16>(); }
TEST(Panel, WidensBfloat16OfEverySize) { PacksEverySize<BF16, float>(); }

template <typename T>
void StoresSums() {
  for (const auto& size : kSizes) {
    const Matrix<float> sums(size.rows, size.columns, size.gap), start(size.rows, size.columns, 2);
    const Matrix<float> bias(1, size.columns, 0);
    std::vector<T> out(start.values.size(), FromFloat<T>(-1));
    StoreSums<T>(sums.view(), {0.5F, bias.values.data(), start.values.data(), out.data(), start.stride});
    for (int64_t row = 0; row < size.rows; ++row) {
      for (int64_t c = 0; c < start.stride; ++c) {
        const float value =
            c < size.columns ? sums.at(row, c) * 0.5F + start.at(row, c) + bias.at(0, c) : -1.0F;
        ASSERT_EQ(ToFloat(out[static_cast<size_t>(row * start.stride + c)]), ToFloat(FromFloat<T>(value)));
      }
    }
    StoreSums<T>(sums.view(), {.out = out.data(), .stride = start.stride});
    EXPECT_EQ(ToFloat(out[0]), 1);
  }
}

TEST(Panel, StoresScaledSumsWithStartAndBiasAndNothingBesideThem) {
  StoresSums<float>();
  StoresSums<BF16>();
}

}  // namespace
}  // namespace ft::kernels
