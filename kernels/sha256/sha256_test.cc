#include <openssl/sha.h>

#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/sha256/sha256_grid.h"

namespace ft::kernels {
namespace {

// Every length around a block's and a leaf's end, against another implementation.
TEST(Sha256Body, EqualsOpenSsl) {
  std::mt19937 random(5);
  std::vector<uint32_t> words(1 << 16);
  for (uint32_t& word : words) word = static_cast<uint32_t>(random());
  const auto* bytes = reinterpret_cast<const uint8_t*>(words.data());
  std::vector<Leaf> leaves;
  int64_t begin = 0;
  for (const int64_t size :
       {0, 4, 8, 48, 52, 56, 60, 64, 68, 112, 116, 120, 124, 128, 132, 1024, 4092, 4096}) {
    leaves.push_back({begin, size});
    begin += size + 4;
  }
  for (int i = 0; i < 150; ++i) leaves.push_back({i * 1024, kLeafBytes});  // More than a block of threads.
  std::vector<uint8_t> digests(leaves.size() * kDigestBytes);
  Emulate(Sha256Body{bytes, leaves.data(), static_cast<int64_t>(leaves.size()), digests.data()});
  for (size_t i = 0; i < leaves.size(); ++i) {
    std::vector<uint8_t> expected(kDigestBytes);
    SHA256(bytes + leaves[i].begin, static_cast<size_t>(leaves[i].bytes), expected.data());
    const std::vector<uint8_t> actual(digests.begin() + static_cast<std::ptrdiff_t>(i * kDigestBytes),
                                      digests.begin() + static_cast<std::ptrdiff_t>((i + 1) * kDigestBytes));
    EXPECT_EQ(actual, expected) << leaves[i].bytes << " bytes";
  }
}

}  // namespace
}  // namespace ft::kernels
