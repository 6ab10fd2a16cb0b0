#include "kernels/rms_norm/rms_norm.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/rms_norm/rms_norm_grid.h"

namespace ft::kernels {
namespace {

struct Problem {
  int64_t rows, channels;
  std::vector<float> x, dy, weight;
};

Problem RandomProblem(int64_t rows, int64_t channels) {
  Problem p{rows, channels, {}, {}, {}};
  std::mt19937 random(static_cast<uint32_t>(rows * 1000 + channels));
  std::normal_distribution<float> normal;
  for (int64_t i = 0; i < rows * channels; ++i) {
    p.x.push_back(normal(random));
    p.dy.push_back(normal(random));
  }
  for (int64_t c = 0; c < channels; ++c) p.weight.push_back(1 + 0.3f * normal(random));
  return p;
}

// The loss sum(y * dy) in float64.
double Loss(const Problem& p, const std::vector<double>& x, const std::vector<double>& weight,
            double epsilon) {
  double loss = 0;
  for (int64_t row = 0; row < p.rows; ++row) {
    double squares = 0;
    for (int64_t c = 0; c < p.channels; ++c) squares += x[row * p.channels + c] * x[row * p.channels + c];
    const double factor = 1 / std::sqrt(squares / p.channels + epsilon);
    for (int64_t c = 0; c < p.channels; ++c) {
      loss += x[row * p.channels + c] * factor * weight[c] * p.dy[row * p.channels + c];
    }
  }
  return loss;
}

class RmsNormShapes : public ::testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(RmsNormShapes, GradientsAreThoseOfTheDefinition) {
  const auto [rows, channels] = GetParam();
  const Problem p = RandomProblem(rows, channels);
  const RmsNormShape shape{channels, 1e-3f};
  std::vector<float> y(p.x.size()), scale(rows), dx(p.x.size()), dweight(channels);
  RmsNormForward<float>(shape, 0, rows, p.x.data(), p.weight.data(), y.data(), scale.data());
  const RmsNormGradient<float> in{p.x.data(), p.dy.data(), p.weight.data(), scale.data()};
  RmsNormBackward<float>(shape, 0, rows, in, dx.data());
  RmsNormWeightGradient<float>(shape, rows, 0, channels, in, dweight.data());
  std::vector<double> x(p.x.begin(), p.x.end()), weight(p.weight.begin(), p.weight.end());
  const double step = 1e-5;
  for (size_t i = 0; i < x.size(); i += 7) {
    const double kept = x[i];
    x[i] = kept + step;
    const double above = Loss(p, x, weight, shape.epsilon);
    x[i] = kept - step;
    const double below = Loss(p, x, weight, shape.epsilon);
    x[i] = kept;
    EXPECT_NEAR(dx[i], (above - below) / (2 * step), 1e-4) << i;
  }
  for (size_t c = 0; c < weight.size(); ++c) {
    double expected = 0;
    for (int64_t row = 0; row < rows; ++row) {
      expected += double{p.dy[row * channels + c]} * p.x[row * channels + c] * scale[row];
    }
    EXPECT_NEAR(dweight[c], expected, 1e-5);
  }
}

TEST_P(RmsNormShapes, DividingRowsOrColumnsChangesNoBit) {
  const auto [rows, channels] = GetParam();
  const Problem p = RandomProblem(rows, channels);
  const RmsNormShape shape{channels, 1e-5f};
  std::vector<float> whole(p.x.size()), parts(p.x.size()), scale(rows), scale_parts(rows);
  RmsNormForward<float>(shape, 0, rows, p.x.data(), p.weight.data(), whole.data(), scale.data());
  for (int64_t row = 0; row < rows; ++row) {
    RmsNormForward<float>(shape, row, row + 1, p.x.data(), p.weight.data(), parts.data(), scale_parts.data());
  }
  EXPECT_EQ(whole, parts);
  std::vector<float> sum(channels), sum_parts(channels);
  ColumnSum<float>(rows, channels, 0, channels, p.x.data(), sum.data());
  for (int64_t c = 0; c < channels; ++c)
    ColumnSum<float>(rows, channels, c, c + 1, p.x.data(), sum_parts.data());
  EXPECT_EQ(sum, sum_parts);
}

INSTANTIATE_TEST_SUITE_P(Odd, RmsNormShapes,
                         ::testing::Values(std::pair<int64_t, int64_t>{1, 1},
                                           std::pair<int64_t, int64_t>{3, 15},
                                           std::pair<int64_t, int64_t>{5, 16},
                                           std::pair<int64_t, int64_t>{2, 17},
                                           std::pair<int64_t, int64_t>{7, 67}));

TEST_P(RmsNormShapes, GridBodiesAgreeWithTheArrayFunctions) {
  const auto [rows, channels] = GetParam();
  const Problem p = RandomProblem(rows, channels);
  const RmsNormShape shape{channels, 1e-5f};
  std::vector<float> y(p.x.size()), scale(rows), dx(p.x.size()), dweight(channels), sum(channels);
  RmsNormForward<float>(shape, 0, rows, p.x.data(), p.weight.data(), y.data(), scale.data());
  const RmsNormGradient<float> in{p.x.data(), p.dy.data(), p.weight.data(), scale.data()};
  RmsNormBackward<float>(shape, 0, rows, in, dx.data());
  RmsNormWeightGradient<float>(shape, rows, 0, channels, in, dweight.data());
  ColumnSum<float>(rows, channels, 0, channels, p.x.data(), sum.data());
  std::vector<float> grid_y(p.x.size()), grid_scale(rows), grid_dx(p.x.size()), grid_dweight(channels),
      grid_sum(channels);
  Emulate(
      RmsNormForwardBody<float>{shape, rows, p.x.data(), p.weight.data(), grid_y.data(), grid_scale.data()});
  Emulate(RmsNormBackwardBody<float>{shape, rows, in, grid_dx.data()});
  Emulate(RmsNormWeightGradientBody<float>{shape, rows, in, grid_dweight.data()});
  Emulate(ColumnSumBody<float>{rows, channels, p.x.data(), grid_sum.data()});
  for (size_t i = 0; i < y.size(); ++i) {
    EXPECT_NEAR(grid_y[i], y[i], 1e-6f * (1 + std::fabs(y[i])));
    EXPECT_NEAR(grid_dx[i], dx[i], 3e-6f * (1 + std::fabs(dx[i])));
  }
  EXPECT_EQ(grid_dweight, dweight);
  EXPECT_EQ(grid_sum, sum);
}

INSTANTIATE_TEST_SUITE_P(Wide, RmsNormShapes,
                         ::testing::Values(std::pair<int64_t, int64_t>{2, 257},
                                           std::pair<int64_t, int64_t>{1, 1031}));

template <typename T>
void ExpectRowsAtADistance(const Problem& p) {
  const RmsNormShape shape{p.channels, 1e-5f};
  std::vector<T> dense(p.x.size());
  std::vector<float> scale(p.rows), scale_apart(p.rows);
  Emulate(RmsNormForwardBody<T>{shape, p.rows, p.x.data(), p.weight.data(), dense.data(), scale.data()});
  for (const int64_t room : {1, 8, 13}) {
    const int64_t stride = p.channels + room;
    std::vector<T> apart(static_cast<size_t>(p.rows * stride), FromFloat<T>(7));
    Emulate(RmsNormForwardBody<T>{shape, p.rows, p.x.data(), p.weight.data(), apart.data(),
                                  scale_apart.data(), stride});
    EXPECT_EQ(scale_apart, scale);
    for (int64_t i = 0; i < p.rows * stride; ++i) {
      const int64_t row = i / stride, c = i % stride;
      const float expected = c < p.channels ? ToFloat(dense[static_cast<size_t>(row * p.channels + c)]) : 7;
      ASSERT_EQ(ToFloat(apart[static_cast<size_t>(i)]), expected) << "row " << row << ", value " << c;
    }
  }
}

TEST_P(RmsNormShapes, RowsAtADistanceHaveTheSameBitsAndLeaveWhatLiesBetween) {
  const auto [rows, channels] = GetParam();
  const Problem p = RandomProblem(rows, channels);
  ExpectRowsAtADistance<float>(p);
  ExpectRowsAtADistance<BF16>(p);
}

TEST(RmsNorm, Bfloat16IsTheFloatResultRoundedOnce) {
  const Problem p = RandomProblem(4, 33);
  std::vector<BF16> y(p.x.size());
  std::vector<float> y_wide(p.x.size()), scale(4);
  const RmsNormShape shape{33, 1e-5f};
  RmsNormForward<BF16>(shape, 0, 4, p.x.data(), p.weight.data(), y.data(), scale.data());
  RmsNormForward<float>(shape, 0, 4, p.x.data(), p.weight.data(), y_wide.data(), scale.data());
  for (size_t i = 0; i < y.size(); ++i) EXPECT_EQ(y[i].bits, FromFloat<BF16>(y_wide[i]).bits);
}

}  // namespace
}  // namespace ft::kernels
