#include "kernels/swiglu/swiglu.h"

#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/swiglu/swiglu_grid.h"

namespace ft::kernels {
namespace {

struct Inputs {
  std::vector<float> gate, up, dy;
};

Inputs RandomInputs(int64_t count) {
  Inputs in;
  std::mt19937 random(static_cast<uint32_t>(count));
  std::normal_distribution<float> normal(0, 3);
  for (int64_t i = 0; i < count; ++i) {
    in.gate.push_back(normal(random));
    in.up.push_back(normal(random));
    in.dy.push_back(normal(random));
  }
  // A gate whose exponential overflows and one whose exponential vanishes.
  if (count > 2) in.gate[1] = -200, in.gate[2] = 200;
  return in;
}

// Four units in the last place of a float32 beside `expected`; nothing where the sigmoid vanishes.
float Near(float expected) { return 4 * 1.2e-7f * std::fabs(expected) + 1e-35f; }

class SwigluCounts : public ::testing::TestWithParam<int64_t> {};

TEST_P(SwigluCounts, RoundedResultsAreTheFloatOnesRoundedOnce) {
  const int64_t count = GetParam();
  const Inputs in = RandomInputs(count);
  std::vector<float> y(count);
  SwigluForward<float>(count, in.gate.data(), in.up.data(), y.data());
  std::vector<BF16> rounded(count), gate(count), up(count), alone(count);
  SwigluForwardRounded(count, in.gate.data(), in.up.data(), {rounded.data(), gate.data(), up.data()});
  SwigluForwardRounded(count, in.gate.data(), in.up.data(), {.y = alone.data()});
  for (int64_t i = 0; i < count; ++i) {
    EXPECT_EQ(rounded[i].bits, FromFloat<BF16>(y[i]).bits) << i;
    EXPECT_EQ(alone[i].bits, rounded[i].bits) << i;
    EXPECT_EQ(gate[i].bits, FromFloat<BF16>(in.gate[i]).bits) << i;
    EXPECT_EQ(up[i].bits, FromFloat<BF16>(in.up[i]).bits) << i;
  }
}

TEST_P(SwigluCounts, ArrayFunctionsAreWithinFourUlpsOfTheDefinition) {
  const int64_t count = GetParam();
  const Inputs in = RandomInputs(count);
  std::vector<float> y(count), dgate(count), dup(count);
  SwigluForward<float>(count, in.gate.data(), in.up.data(), y.data());
  SwigluBackward<float>(count, {in.gate.data(), in.up.data(), in.dy.data()}, dgate.data(), dup.data());
  for (int64_t i = 0; i < count; ++i) {
    const float expected = SwigluValue(in.gate[i], in.up[i]);
    EXPECT_NEAR(y[i], expected, Near(expected)) << i;
    const SwigluGradient gradient = SwigluBackwardValue(in.gate[i], in.up[i], in.dy[i]);
    EXPECT_NEAR(dup[i], gradient.dup, Near(gradient.dup)) << i;
    // 1 + g (1 - s) may cancel: relative to its terms.
    const float terms = std::fabs(in.dy[i] * in.up[i]) * (1 + std::fabs(in.gate[i]));
    EXPECT_NEAR(dgate[i], gradient.dgate, 4 * 1.2e-7f * terms) << i;
  }
}

TEST_P(SwigluCounts, GridBodiesEqualTheDefinitionBitForBit) {
  const int64_t count = GetParam();
  const Inputs in = RandomInputs(count);
  std::vector<BF16> gate, up, dy, y(count), dgate(count), dup(count);
  for (int64_t i = 0; i < count; ++i) {
    gate.push_back(FromFloat<BF16>(in.gate[i]));
    up.push_back(FromFloat<BF16>(in.up[i]));
    dy.push_back(FromFloat<BF16>(in.dy[i]));
  }
  Emulate(SwigluForwardBody<BF16>{count, gate.data(), up.data(), y.data()});
  Emulate(SwigluBackwardBody<BF16>{count, {gate.data(), up.data(), dy.data()}, dgate.data(), dup.data()});
  for (int64_t i = 0; i < count; ++i) {
    const float g = ToFloat(gate[i]), u = ToFloat(up[i]);
    EXPECT_EQ(y[i].bits, FromFloat<BF16>(SwigluValue(g, u)).bits) << i;
    const SwigluGradient gradient = SwigluBackwardValue(g, u, ToFloat(dy[i]));
    EXPECT_EQ(dgate[i].bits, FromFloat<BF16>(gradient.dgate).bits) << i;
    EXPECT_EQ(dup[i].bits, FromFloat<BF16>(gradient.dup).bits) << i;
  }
}

TEST_P(SwigluCounts, RoundedGridBodyEqualsTheDefinitionBitForBitAtAnyAddress) {
  const int64_t count = GetParam();
  const Inputs in = RandomInputs(count);
  for (const int64_t shift : {0, 1}) {
    const int64_t values = count - shift;
    const float *gate = in.gate.data() + shift, *up = in.up.data() + shift;
    const BF16 untouched{7};
    std::vector<BF16> y(count + 8, untouched), gates(y), ups(y), alone(y);
    Emulate(SwigluForwardRoundedBody{1, values, gate, up, {y.data(), gates.data(), ups.data()}});
    Emulate(SwigluForwardRoundedBody{1, values, gate, up, {.y = alone.data()}});
    for (int64_t i = 0; i < values; ++i) {
      EXPECT_EQ(y[i].bits, FromFloat<BF16>(SwigluValue(gate[i], up[i])).bits) << i;
      EXPECT_EQ(alone[i].bits, y[i].bits) << i;
      EXPECT_EQ(gates[i].bits, FromFloat<BF16>(gate[i]).bits) << i;
      EXPECT_EQ(ups[i].bits, FromFloat<BF16>(up[i]).bits) << i;
    }
    for (int64_t i = values; i < count + 8; ++i) {
      EXPECT_TRUE(y[i].bits == 7 && gates[i].bits == 7 && ups[i].bits == 7 && alone[i].bits == 7) << i;
    }
  }
}

// Gate and up as columns of one matrix, and results with room behind each row: by values and, where all rows begin at 16 bytes, by words.
TEST_P(SwigluCounts, RowsAtADistanceEqualTheDefinitionBitForBit) {
  const int64_t columns = GetParam(), rows = 3;
  for (const int64_t room : {0, 1, 8}) {
    const int64_t in_stride = 2 * columns + room, y_stride = columns + room;
    const Inputs in = RandomInputs(rows * in_stride);
    const float *gate = in.gate.data(), *up = in.gate.data() + columns;
    const BF16 untouched{7};
    std::vector<BF16> y(static_cast<size_t>(rows * y_stride), untouched),
        gates(static_cast<size_t>(rows * columns)), ups(gates);
    Emulate(SwigluForwardRoundedBody{
        rows, columns, gate, up, {y.data(), gates.data(), ups.data()}, in_stride, y_stride});
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t c = 0; c < y_stride; ++c) {
        const BF16 got = y[static_cast<size_t>(row * y_stride + c)];
        if (c >= columns) {
          ASSERT_EQ(got.bits, 7) << row << " " << c;
          continue;
        }
        const float g = gate[row * in_stride + c], u = up[row * in_stride + c];
        const auto dense = static_cast<size_t>(row * columns + c);
        ASSERT_EQ(got.bits, FromFloat<BF16>(SwigluValue(g, u)).bits) << row << " " << c;
        ASSERT_EQ(gates[dense].bits, FromFloat<BF16>(g).bits) << row << " " << c;
        ASSERT_EQ(ups[dense].bits, FromFloat<BF16>(u).bits) << row << " " << c;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Odd, SwigluCounts, ::testing::Values(1, 15, 16, 17, 255, 256, 257, 1003));

TEST(Swiglu, GradientsAreThoseOfTheDefinition) {
  for (const float gate : {-5.0f, -0.3f, 0.0f, 0.7f, 4.0f}) {
    const float up = 1.7f, dy = -0.6f, step = 1e-2f;
    const SwigluGradient gradient = SwigluBackwardValue(gate, up, dy);
    const double slope =
        (double{SwigluValue(gate + step, up)} - double{SwigluValue(gate - step, up)}) / (2 * double{step});
    EXPECT_NEAR(gradient.dgate, slope * dy, 1e-4);
    EXPECT_NEAR(gradient.dup, SwigluValue(gate, 1) * dy, 1e-6);
  }
}

}  // namespace
}  // namespace ft::kernels
