#include "worker/model/ops/micro_gemm.h"

#include <cmath>
#include <cstdlib>
#include <random>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/panel/panel.h"

namespace ft::ops {
namespace {

using kernels::BF16;

// With FT_TEST_BF16_PRODUCTS=emulated all tests of this program compute as on a CPU that multiplies bfloat16.
[[maybe_unused]] const bool emulated = [] {
  const char* products = std::getenv("FT_TEST_BF16_PRODUCTS");
  const bool wanted = products != nullptr && std::string_view(products) == "emulated";
  if (wanted) EmulateBf16Products();
  return wanted;
}();

std::vector<BF16> Values(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<BF16> values(static_cast<size_t>(count));
  for (BF16& value : values) value = kernels::FromFloat<BF16>(normal(random));
  return values;
}

struct Sizes {
  int64_t rows, columns, inner;
};

// In double, from the rows of a packed right-hand side.
double Expected(const std::vector<BF16>& a, const std::vector<BF16>& b, const Sizes& s, int64_t row,
                int64_t column) {
  double sum = 0;
  for (int64_t k = 0; k < s.inner; ++k) {
    const int64_t place = k / 2 * 2 * s.columns + 2 * column + k % 2;
    sum += double{kernels::ToFloat(a[static_cast<size_t>(row * s.inner + k)])} *
           kernels::ToFloat(b[static_cast<size_t>(place)]);
  }
  return sum;
}

TEST(MicroGemm, OfBf16IsThatOfItsExactProducts) {
  if (!MultipliesBf16())
    GTEST_SKIP() << "neither this CPU multiplies bfloat16 nor does FT_TEST_BF16_PRODUCTS ask for it";
  for (const Sizes s : {Sizes{1, 1, 2}, Sizes{3, 5, 8}, Sizes{17, 32, 64}, Sizes{64, 64, 62}}) {
    const std::vector<BF16> a = Values(s.rows * s.inner, 1), b = Values(s.inner * s.columns, 2);
    for (const bool add : {false, true}) {
      std::vector<float> c(static_cast<size_t>(s.rows * s.columns), 100);
      Multiply<BF16>(
          {s.rows, s.columns, s.inner, a.data(), s.inner, b.data(), s.columns, c.data(), s.columns, add});
      for (int64_t row = 0; row < s.rows; ++row) {
        for (int64_t column = 0; column < s.columns; ++column) {
          const double wanted = Expected(a, b, s, row, column) + (add ? 100 : 0);
          ASSERT_NEAR(c[static_cast<size_t>(row * s.columns + column)], wanted, 1e-4)
              << s.rows << " x " << s.columns << " x " << s.inner << " at " << row << ", " << column;
        }
      }
    }
  }
}

}  // namespace
}  // namespace ft::ops
