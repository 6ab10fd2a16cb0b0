#include "kernels/philox/philox.h"

#include <set>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/philox/philox_grid.h"

namespace ft::kernels {
namespace {

// The known answers that the authors of Philox publish with their library.
TEST(Philox, KnownAnswers) {
  const PhiloxBlock zero = Philox(0, PhiloxBlock{{0, 0, 0, 0}});
  EXPECT_EQ(zero.word[0], 0x6627e8d5u);
  EXPECT_EQ(zero.word[1], 0xe169c58du);
  EXPECT_EQ(zero.word[2], 0xbc57ac4cu);
  EXPECT_EQ(zero.word[3], 0x9b00dbd8u);
  const PhiloxBlock ones = Philox(~uint64_t{0}, PhiloxBlock{{~0u, ~0u, ~0u, ~0u}});
  EXPECT_EQ(ones.word[0], 0x408f276du);
  EXPECT_EQ(ones.word[1], 0x41c83b0eu);
  EXPECT_EQ(ones.word[2], 0xa20bc7c6u);
  EXPECT_EQ(ones.word[3], 0x6d5451fdu);
}

class DropoutTest : public ::testing::Test {
 protected:
  std::vector<float> Mask(DropoutShape shape, int64_t rows) {
    shape.sample = sample_.data();
    shape.position = position_.data();
    std::vector<float> x(rows * shape.channels, 1.0f), y(x.size());
    Dropout<float>(shape, 0, rows, x.data(), y.data());
    return y;
  }
  std::vector<uint64_t> sample_ = {5, 5, 9, 5};
  std::vector<int64_t> position_ = {0, 1, 0, 0};
};

TEST_F(DropoutTest, ArrayFunctionAndGridBodyEqualTheDefinitionBitForBit) {
  for (int64_t channels : {1, 3, 4, 63, 64, 65, 257}) {
    DropoutShape shape{
        .key = PhiloxKey(3, 9), .layer = 4000, .site = 6, .channels = channels, .probability = 0.3f};
    shape.sample = sample_.data();
    shape.position = position_.data();
    std::vector<float> x(4 * channels), y(x.size());
    std::vector<BF16> x_bf16(x.size()), y_bf16(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      x[i] = static_cast<float>(i) - 7.3f;
      x_bf16[i] = FromFloat<BF16>(x[i]);
    }
    Dropout<float>(shape, 0, 4, x.data(), y.data());
    Dropout<BF16>(shape, 0, 4, x_bf16.data(), y_bf16.data());
    std::vector<float> y_grid(x.size());
    Emulate(DropoutBody<float>{shape, 4, x.data(), y_grid.data()});
    EXPECT_EQ(y, y_grid) << channels;
    for (int64_t row = 0; row < 4; ++row) {
      for (int64_t c = 0; c < channels; ++c) {
        const int64_t i = row * channels + c;
        ASSERT_EQ(y[i], DropoutValue(shape, row, c, x[i]));
        ASSERT_EQ(y_bf16[i].bits, FromFloat<BF16>(DropoutValue(shape, row, c, ToFloat(x_bf16[i]))).bits);
      }
    }
  }
}

TEST_F(DropoutTest, RowsAtADistanceAreDroppedAsDenseOnes) {
  for (int64_t channels : {1, 3, 4, 65}) {
    DropoutShape shape{
        .key = PhiloxKey(3, 9), .layer = 7, .site = 2, .channels = channels, .probability = 0.3f};
    shape.sample = sample_.data();
    shape.position = position_.data();
    const int64_t stride = channels + 5;
    std::vector<float> x(4 * channels), apart(4 * stride, -1.0f), y(x.size()), y_apart(x.size());
    for (int64_t i = 0; i < 4 * channels; ++i) {
      x[i] = static_cast<float>(i) - 7.3f;
      apart[i / channels * stride + i % channels] = x[i];
    }
    Dropout<float>(shape, 0, 4, x.data(), y.data());
    Emulate(DropoutBody<float>{shape, 4, apart.data(), y_apart.data(), stride});
    EXPECT_EQ(y_apart, y) << channels;
  }
}

TEST_F(DropoutTest, KeepsTheRightShareAndScalesIt) {
  const std::vector<float> mask = Mask({.key = PhiloxKey(42, 7), .channels = 100003, .probability = 0.1f}, 2);
  int64_t zeros = 0;
  for (float value : mask) {
    if (value == 0) {
      ++zeros;
    } else {
      EXPECT_FLOAT_EQ(value, 1 / 0.9f);
    }
  }
  EXPECT_NEAR(static_cast<double>(zeros) / mask.size(), 0.1,
              0.004);  // Six standard deviations of 200,006 draws.
}

TEST_F(DropoutTest, DependsOnEveryPartOfTheKeyAndOnNothingElse) {
  const DropoutShape base{
      .key = PhiloxKey(1, 2), .layer = 3, .site = 4, .channels = 255, .probability = 0.5f};
  const std::vector<float> rows = Mask(base, 4);
  const auto row = [&](int64_t i) {
    return std::vector<float>(rows.begin() + i * 255, rows.begin() + (i + 1) * 255);
  };
  EXPECT_EQ(row(0), row(3));
  std::set<std::vector<float>> different = {row(0), row(1), row(2)};
  DropoutShape other = base;
  other.layer = 4;
  different.insert(Mask(other, 1));
  other = base;
  other.site = 5;
  different.insert(Mask(other, 1));
  other = base;
  other.key = PhiloxKey(1, 3);
  different.insert(Mask(other, 1));
  other.key = PhiloxKey(2, 2);
  different.insert(Mask(other, 1));
  EXPECT_EQ(different.size(), 7u);
}

}  // namespace
}  // namespace ft::kernels
