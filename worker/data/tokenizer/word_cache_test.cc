#include "worker/data/tokenizer/word_cache.h"

#include <gtest/gtest.h>

#include <string>

namespace ft::tokenizer {
namespace {

TEST(WordCacheTest, AKeyIsTheWordsWhateverStandsBehindIt) {
  const std::string text = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl";
  for (size_t size = 1; size <= WordCache::kMaxWordBytes; ++size) {
    const std::string word = text.substr(0, size);
    const WordCache::Key alone(word);
    std::string padded = word + std::string(WordCache::kMaxWordBytes - size, '\0');
    EXPECT_EQ(std::memcmp(alone.bytes.data(), padded.data(), padded.size()), 0) << size;
    for (size_t behind = 0; behind + size <= text.size(); ++behind) {
      const WordCache::Key key(std::string_view(text).substr(0, size), behind);
      EXPECT_EQ(key.bytes, alone.bytes) << size << " and " << behind;
      EXPECT_EQ(key.place, alone.place) << size << " and " << behind;
    }
    EXPECT_LT(alone.place, WordCache::kSlots);
  }
}

TEST(WordCacheTest, WordsThatDifferInTheirEndAreNotTakenForEachOther) {
  WordCache cache;
  const std::vector<EncodedToken> tokens = {{7, 0, 3}, {9, 3, 5}};
  cache.Keep(WordCache::Key("abcde"), tokens, 0);
  std::vector<EncodedToken> found;
  EXPECT_FALSE(cache.Find(WordCache::Key("abcdef", 0), 0, &found));
  EXPECT_FALSE(cache.Find(WordCache::Key("abcd", 0), 0, &found));
  EXPECT_TRUE(cache.Find(WordCache::Key(std::string_view("abcdefghijklmnopqrstuvwxyz").substr(0, 5), 21), 10,
                         &found));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[1].id, 9);
  EXPECT_EQ(found[1].begin, 13u);
  EXPECT_EQ(found[1].end, 15u);
}

}  // namespace
}  // namespace ft::tokenizer
