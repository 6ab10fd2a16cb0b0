#include <openssl/sha.h>

#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/sha256/sha256_grid.h"
#include "kernels/sha256/sha256_lanes.h"

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

// Each lane its own piece, wherever that begins, and nothing but the digests is written.
TEST(Sha256Lanes, EqualOpenSsl) {
  if (!HasSha256Lanes()) GTEST_SKIP() << "this CPU's vectors are shorter than 512 bits";
  std::mt19937 random(7);
  std::vector<uint8_t> bytes(kSha256Lanes * 5000);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  for (const int64_t size : {int64_t{0}, kSha256Block, 2 * kSha256Block, int64_t{1024}, kLeafBytes}) {
    std::vector<const uint8_t*> pieces;
    for (int64_t i = 0; i < kSha256Lanes; ++i) pieces.push_back(bytes.data() + (i * 7 % 16) * 4999 / 8 + i);
    std::vector<uint8_t> digests(kSha256Lanes * kDigestBytes + 1, 0x5a), expected = digests;
    Sha256OfLanes(pieces.data(), size, digests.data());
    for (int64_t i = 0; i < kSha256Lanes; ++i)
      SHA256(pieces[static_cast<size_t>(i)], static_cast<size_t>(size), expected.data() + kDigestBytes * i);
    EXPECT_EQ(digests, expected) << size << " bytes";
  }
}

}  // namespace
}  // namespace ft::kernels
