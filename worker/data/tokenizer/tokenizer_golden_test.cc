// Every string of the reference data, compared with what the original libraries made of it.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "tests/support/shared_dir.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Ids = std::vector<int32_t>;

struct Case {
  const char* folder;      // Below golden/tokenizer.
  const char* reference;   // The file with the original's ids.
  const char* vocabulary;  // The file without which the case cannot run.
};

class TokenizerGoldenTest : public ::testing::TestWithParam<Case> {};

TEST_P(TokenizerGoldenTest, IdsAndTextEqualTheOriginals) {
  const auto shared = ft::testing::SharedDir();
  if (!shared) GTEST_SKIP() << "the folder shared with golden/tokenizer is not beside this checkout";
  const fs::path golden = *shared / "golden" / "tokenizer";
  const fs::path folder = golden / GetParam().folder;
  if (!fs::exists(folder / GetParam().vocabulary))
    GTEST_SKIP() << folder << " holds no " << GetParam().vocabulary;
  const auto tokenizer = OpenTokenizer(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const json strings = json::parse(*ReadFile(golden / "strings.json"));
  ASSERT_EQ(strings.size(), 300u);
  std::ifstream lines(folder / GetParam().reference);
  size_t seen = 0;
  for (std::string line; std::getline(lines, line); ++seen) {
    const json expected = json::parse(line);
    const auto index = expected["i"].get<size_t>();
    const std::string text = strings[index].get<std::string>();
    const auto tokens = (*tokenizer)->EncodeWithOffsets(text);
    ASSERT_TRUE(tokens.ok()) << index << ": " << tokens.status();
    Ids ids;
    uint32_t done = 0;
    for (const EncodedToken& token : *tokens) {
      ids.push_back(token.id);
      EXPECT_LE(token.begin, token.end) << index;
      EXPECT_GE(token.end, done) << index;
      EXPECT_LE(token.end, text.size()) << index;
      done = token.end;
    }
    EXPECT_EQ(ids, expected["ids"].get<Ids>()) << index << ": " << text;
    EXPECT_EQ(ReplaceInvalidUtf8((*tokenizer)->Decode(ids)), expected["decoded"].get<std::string>()) << index;
    if (const auto plain = expected.find("decoded_without_special_tokens"); plain != expected.end()) {
      EXPECT_EQ(ReplaceInvalidUtf8((*tokenizer)->Decode(ids, {.skip_special = true})),
                plain->get<std::string>())
          << index;
    }
  }
  EXPECT_EQ(seen, strings.size());
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGoldenTest,
                         ::testing::Values(Case{"smollm2", "tokenizers.jsonl", "tokenizer.json"},
                                           Case{"starcoder", "tokenizers.jsonl", "tokenizer.json"},
                                           Case{"qwen", "tiktoken.jsonl", "qwen.tiktoken"},
                                           Case{"llama3", "tiktoken.jsonl", "tokenizer.model"}),
                         [](const ::testing::TestParamInfo<Case>& info) {
                           return std::string(info.param.folder);
                         });

}  // namespace
}  // namespace ft::tokenizer
