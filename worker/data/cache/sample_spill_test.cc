#include "worker/data/cache/sample_spill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "worker/data/cache/token_cache.h"

namespace ft::data {
namespace {

std::vector<int32_t> Ids(int sample) {
  std::vector<int32_t> ids;
  for (int t = 0; t <= sample % 7; ++t) ids.push_back(sample * 1000 + t);
  return ids;
}
std::vector<uint8_t> Marks(int sample) {
  std::vector<uint8_t> marks;
  for (int t = 0; t <= sample % 7; ++t) marks.push_back((sample + t) % 3 != 0);
  return marks;
}

TEST(SampleSpillTest, SamplesComeBackFromMemoryAndFromDisk) {
  const ft::testing::TempDir dir;
  for (const size_t memory : {size_t{0}, size_t{100}, size_t{1} << 20}) {
    SampleSpill spill(dir.path(), memory);
    for (int i = 0; i < 200; ++i) spill.Add(Ids(i), Marks(i));
    ASSERT_TRUE(spill.status().ok()) << spill.status();
    EXPECT_EQ(spill.in_memory(), memory == size_t{1} << 20);
    ASSERT_EQ(spill.samples(), 200);
    for (int i = 199; i >= 0; --i) {
      std::vector<int32_t> ids;
      std::vector<uint8_t> marks;
      ASSERT_TRUE(spill.ReadIds(i, &ids).ok());
      ASSERT_TRUE(spill.ReadLossMask(i, &marks).ok());
      EXPECT_EQ(ids, Ids(i)) << memory;
      EXPECT_EQ(marks, Marks(i)) << memory;
      EXPECT_EQ(spill.length(i), std::ssize(ids));
      EXPECT_EQ(spill.supervised(i), SupervisedTokens({ids, marks}));
    }
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path())) << "the file has a name";
}

TEST(SampleSpillTest, TheCacheIsTheSameWhereverSamplesLay) {
  const ft::testing::TempDir dir;
  const auto written = [&](size_t memory) {
    SampleSpill spill(dir / "spill", memory);
    for (int i = 0; i < 200; ++i) spill.Add(Ids(i), Marks(i));
    TokenCacheWriter writer;
    for (int i = 0; i < 200; ++i) i % 5 == 0 ? writer.AddHoldout(spill, i) : writer.AddTrain(spill, i);
    writer.AddTrain(spill, 7);
    const StatusOr<std::string> digest = writer.Write(dir / "cache");
    EXPECT_TRUE(digest.ok()) << digest.status();
    return digest.value_or("");
  };
  TokenCacheWriter plain;
  for (int i = 0; i < 200; ++i)
    i % 5 == 0 ? plain.AddHoldout(Ids(i), Marks(i)) : plain.AddTrain(Ids(i), Marks(i));
  plain.AddTrain(Ids(7), Marks(7));
  const std::string digest = *plain.Write(dir / "cache");
  EXPECT_EQ(written(0), digest);
  EXPECT_EQ(written(1 << 20), digest);
  const auto cache = TokenCache::Open(dir / "cache" / (digest + ".ftt"), /*verify=*/true);
  ASSERT_TRUE(cache.ok()) << cache.status();
  EXPECT_EQ(cache->samples(), 201);
  EXPECT_EQ(cache->train_samples(), 161);
  EXPECT_EQ(cache->at(160).ids[0], 7000);
  EXPECT_EQ(cache->at(161).ids[0], 0);
}

TEST(SampleSpillTest, AFolderThatCannotBeWrittenIsNamedAndStays) {
  const ft::testing::TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir / "file", "").ok());
  SampleSpill spill(dir / "file" / "folder", 0);
  spill.Add(Ids(1), Marks(1));
  spill.Add(Ids(2), Marks(2));
  EXPECT_FALSE(spill.status().ok());
  EXPECT_THAT(std::string(Message(spill.status())), ::testing::HasSubstr((dir / "file").string()));
  std::vector<int32_t> ids;
  EXPECT_FALSE(spill.ReadIds(0, &ids).ok());
}

}  // namespace
}  // namespace ft::data
