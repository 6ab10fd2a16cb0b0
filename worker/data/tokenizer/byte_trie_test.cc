#include "worker/data/tokenizer/byte_trie.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

namespace ft::tokenizer {
namespace {

TEST(ByteTrieTest, FindsEveryStringThatBeginsAtAPlace) {
  const ByteTrie trie({{"ab", 0}, {"abc", 1}, {"a", 2}, {"xyz", 3}, {"ab", 9}, {"", 4}});
  std::vector<std::pair<int32_t, size_t>> found;
  trie.ForEach("zabcd", 1, [&](int32_t value, size_t length) { found.emplace_back(value, length); });
  EXPECT_EQ(found, (std::vector<std::pair<int32_t, size_t>>{{2, 1}, {0, 2}, {1, 3}}));
  EXPECT_EQ(trie.Longest("abx", 0).value, 0);
  EXPECT_EQ(trie.Longest("xy", 0).length, 0u);
  EXPECT_EQ(trie.Longest("ab", 2).length, 0u);
  EXPECT_TRUE(trie.MayBeginWith('x'));
  EXPECT_FALSE(trie.MayBeginWith('b'));
}

TEST(ByteTrieTest, EmptySetsHoldNothing) {
  EXPECT_EQ(ByteTrie().Longest("a", 0).length, 0u);
  EXPECT_TRUE(ByteTrie({{"", 1}}).empty());
}

// Strings of any bytes: the rows of children lie between each other in one array.
TEST(ByteTrieTest, AnyBytesMayBeLabels) {
  std::mt19937 random(3);
  std::map<std::string, int32_t> wanted;
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t size = 1 + random() % 4; size > 0; --size) text.push_back(static_cast<char>(random() % 256));
    wanted.emplace(text, i);
  }
  for (const auto& [text, value] : wanted) entries.emplace_back(text, value);
  const ByteTrie trie(entries);
  for (const auto& [text, value] : wanted) {
    std::map<size_t, int32_t> found;
    trie.ForEach(text + "x", 0, [&](int32_t id, size_t length) { found[length] = id; });
    for (size_t length = 1; length <= text.size(); ++length) {
      const auto prefix = wanted.find(text.substr(0, length));
      ASSERT_EQ(found.contains(length), prefix != wanted.end());
      if (prefix != wanted.end()) {
        EXPECT_EQ(found[length], prefix->second);
      }
    }
  }
}

TEST(ByteTrieTest, AgreesWithASearchByHand) {
  std::mt19937 random(7);
  std::vector<std::string> strings;
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (size_t size = 1 + random() % 4; size > 0; --size)
      text.push_back(static_cast<char>('a' + random() % 20));
    strings.push_back(text);
  }
  std::vector<std::pair<std::string_view, int32_t>> entries;
  for (size_t i = 0; i < strings.size(); ++i) entries.emplace_back(strings[i], static_cast<int32_t>(i));
  const ByteTrie trie(entries);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (int k = 0; k < 5; ++k) text.push_back(static_cast<char>('a' + random() % 21));
    size_t longest = 0;
    for (const std::string& one : strings) {
      if (text.starts_with(one)) longest = std::max(longest, one.size());
    }
    const ByteTrie::Match match = trie.Longest(text, 0);
    ASSERT_EQ(match.length, longest) << text;
    if (longest == 0) continue;
    EXPECT_EQ(strings[static_cast<size_t>(match.value)], text.substr(0, longest));
  }
}

TEST(ByteTrieTest, ALongStringTakesNoStack) {
  const std::string longest(1 << 20, 'a');
  EXPECT_EQ(ByteTrie({{longest, 5}}).Longest(longest, 0).length, longest.size());
}

}  // namespace
}  // namespace ft::tokenizer
