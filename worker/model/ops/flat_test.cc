#include "worker/model/ops/flat.h"

#include <cstring>

#include "core/base/sha256.h"
#include "gtest/gtest.h"

namespace ft::ops {
namespace {

using torch::Tensor;

TEST(Flat, SumsOfSquaresAreThoseOfTheValues) {
  const Tensor values = torch::randn({5000});
  const Tensor sums = SumsOfSquares(values);
  ASSERT_EQ(sums.numel(), 20);
  const Tensor wide = values.to(torch::kDouble);
  EXPECT_NEAR(sums.to(torch::kDouble).sum().item<double>(), wide.square().sum().item<double>(), 1e-2);
  EXPECT_NEAR(sums[19].item<double>(), wide.narrow(0, 4864, 136).square().sum().item<double>(), 1e-4);
}

TEST(Flat, DigestsAreThoseOfTheLeavesBytes) {
  const Tensor values = torch::randn({5000});
  const std::vector<std::pair<int64_t, int64_t>> pieces = {{0, 1024}, {1024, 100}, {2048, 1}, {4999, 1}};
  const Tensor digests = Leaves(pieces, at::kCPU).Digests(values);
  const auto* bytes = static_cast<const char*>(values.const_data_ptr());
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto [begin, count] = pieces[i];
    const Digest expected = Sha256Of({bytes + 4 * begin, static_cast<size_t>(4 * count)});
    EXPECT_EQ(
        std::memcmp(digests[static_cast<int64_t>(i)].const_data_ptr(), expected.data(), expected.size()), 0)
        << i;
  }
}

}  // namespace
}  // namespace ft::ops
