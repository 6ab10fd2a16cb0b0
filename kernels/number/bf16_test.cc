#include "kernels/number/bf16.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace ft::kernels {
namespace {

TEST(BF16, EveryFiniteValueSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const BF16 value{static_cast<uint16_t>(bits)};
    const float wide = ToFloat(value);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(ToFloat(FromFloat<BF16>(wide))));
    } else {
      EXPECT_EQ(FromFloat<BF16>(wide).bits, value.bits);
    }
  }
}

TEST(BF16, RoundsToNearestAndTiesToEven) {
  EXPECT_EQ(FromFloat<BF16>(1.0f + 1.0f / 256).bits, 0x3f80);  // Halfway, even below.
  EXPECT_EQ(FromFloat<BF16>(1.0f + 3.0f / 256).bits, 0x3f82);  // Halfway, even above.
  EXPECT_EQ(FromFloat<BF16>(1.0f + 1.01f / 256).bits, 0x3f81);
  EXPECT_EQ(FromFloat<BF16>(std::numeric_limits<float>::max()).bits, 0x7f80);  // Rounds up to infinity.
}

}  // namespace
}  // namespace ft::kernels
