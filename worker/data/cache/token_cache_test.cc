#include "worker/data/cache/token_cache.h"

#include <gtest/gtest.h>

namespace ft::data {
namespace {

namespace fs = std::filesystem;

class TokenCacheTest : public testing::Test {
 protected:
  TokenCacheTest()
      : dir_(fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(dir_);
  }
  ~TokenCacheTest() override { fs::remove_all(dir_); }
  std::string WriteTwo() {
    TokenCacheWriter writer;
    writer.AddHoldout(std::vector<int32_t>{9, 8}, std::vector<uint8_t>{1, 1});
    writer.AddTrain(std::vector<int32_t>{1, 2, 3}, std::vector<uint8_t>{1, 0, 1});
    return *writer.Write(dir_);
  }
  fs::path dir_;
};

TEST_F(TokenCacheTest, SamplesComeBackTrainingFirst) {
  const std::string digest = WriteTwo();
  auto cache = TokenCache::Open(dir_ / (digest + ".ftt"), true);
  ASSERT_TRUE(cache.ok()) << cache.status();
  EXPECT_EQ(cache->digest(), digest);
  EXPECT_EQ(cache->samples(), 2);
  EXPECT_EQ(cache->train_samples(), 1);
  EXPECT_EQ(cache->at(0).ids[2], 3);
  EXPECT_EQ(cache->at(1).ids[0], 9);
  EXPECT_EQ(cache->supervised_tokens(), 2);  // The first token of a sample never counts.
}

TEST_F(TokenCacheTest, EqualContentHasEqualDigest) { EXPECT_EQ(WriteTwo(), WriteTwo()); }

TEST_F(TokenCacheTest, EveryTruncationAndFlippedByteIsRefused) {
  const fs::path path = dir_ / (WriteTwo() + ".ftt");
  const std::string good = *ReadFile(path);
  for (size_t size = 0; size < good.size(); ++size) {
    ASSERT_TRUE(WriteFileDurably(path, good.substr(0, size)).ok());
    EXPECT_TRUE(absl::IsDataLoss(TokenCache::Open(path, false).status())) << size;
  }
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 0x41;
    ASSERT_TRUE(WriteFileDurably(path, bad).ok());
    EXPECT_FALSE(TokenCache::Open(path, true).ok()) << i;
  }
}

}  // namespace
}  // namespace ft::data
