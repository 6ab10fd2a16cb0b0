#include "worker/rank/mmlu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"
#include "worker/model/generate/generate.h"
#include "worker/model/run/small_model_fixture.h"
#include "worker/rank/answer_mmlu.h"

namespace ft::rank {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::string ErrorOf(const std::string& json) {
  const ft::testing::TempDir dir;
  EXPECT_TRUE(WriteFileDurably(dir / "q.json", json).ok());
  return std::string(Message(ReadMmlu(dir / "q.json").status()));
}

TEST(MmluTest, QuestionsAreRead) {
  const ft::testing::TempDir dir;
  ASSERT_TRUE(
      WriteFileDurably(dir / "q.json", R"([{"input": "Q\nAnswer:", "output": "C", "subject": "anatomy"}])")
          .ok());
  const auto questions = ReadMmlu(dir / "q.json");
  ASSERT_TRUE(questions.ok()) << questions.status();
  ASSERT_EQ(questions->size(), 1u);
  EXPECT_EQ((*questions)[0].right, 2);
  EXPECT_EQ((*questions)[0].prompt, "Q\nAnswer:");
}

TEST(MmluTest, BadQuestionsAreRefusedByTheirEntry) {
  constexpr const char* kGood = R"({"input": "", "output": "A", "subject": "virology"})";
  EXPECT_THAT(ErrorOf(StrCat("[", kGood, R"(, {"input": "", "output": "A", "subject": "anatom"}])")),
              HasSubstr("q.json: entry 2: MMLU has no subject \"anatom\", the nearest that it has: anatomy"));
  EXPECT_THAT(ErrorOf(R"([{"input": "", "output": "A", "subject": "knitting, for beginners"}])"),
              HasSubstr("; take it out"));
  for (const char* answer : {"E", "", "a", "AB", "1"}) {
    EXPECT_THAT(ErrorOf(StrCat(R"([{"input": "", "subject": "virology", "output": ")", answer, "\"}]")),
                HasSubstr(StrCat("entry 1: the answer is \"", answer, "\"; it must be A, B, C or D")));
  }
  EXPECT_THAT(ErrorOf(R"([{"input": "", "output": 1, "subject": "virology"}])"),
              HasSubstr("entry 1: 'output' is missing or no text"));
  for (const char* file : {"", "{}", "[]", "[", "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]"})
    EXPECT_THAT(ErrorOf(file), HasSubstr("expects a JSON list of MMLU's questions")) << file;
}

TEST(MmluTest, CategoriesPoolQuestionsAndTheAverageIsOverSubjects) {
  const std::vector<MmluAnswer> answers = {{"anatomy", 0, 0},  {"anatomy", 1, 1},    {"anatomy", 2, 3},
                                           {"virology", 0, 1}, {"philosophy", 3, 3}, {"marketing", 2, 2}};
  const MmluScores scores = ScoreMmlu(answers);
  EXPECT_THAT(scores.subjects,
              ElementsAre(Pair("anatomy", ::testing::DoubleNear(200.0 / 3, 1e-12)), Pair("marketing", 100),
                          Pair("philosophy", 100), Pair("virology", 0)));
  EXPECT_THAT(scores.subcategories,
              ElementsAre(Pair("philosophy", 100), Pair("business", 100), Pair("health", 50)));
  EXPECT_THAT(scores.categories,
              ElementsAre(Pair("humanities", 100), Pair("other (business, health, misc.)", 60)));
  EXPECT_NEAR(scores.average, (200.0 / 3 + 200) / 4, 1e-12);
}

// A model that knows nothing, with the tiny vocabulary: a letter's token is its byte.
class AnswerMmluTest : public ::testing::Test {
 protected:
  AnswerMmluTest() {
    tokenizer::WriteTinyTokenizer(dir_.path(), tokenizer::TinyTokenizerJson(),
                                  tokenizer::TinyTokenizerConfig());
    tokenizer_ = tokenizer::OpenTokenizer(dir_.path()).value();
    model::DecoderConfig config = run::SmallConfig();
    config.vocabulary = 300;
    config.max_positions = 32;
    model_ = run::LanguageModel::Load(config, run::RandomWeights(config), {.method = "none"}).value();
  }
  // The largest of the letters' logits behind these tokens.
  int Best(const std::vector<int32_t>& ids) const {
    const std::vector<float> logits = generate::NextLogits(*model_, ids).value();
    return static_cast<int>(std::max_element(logits.begin() + 'A', logits.begin() + 'E') - logits.begin() -
                            'A');
  }

  const ft::testing::TempDir dir_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  std::unique_ptr<run::LanguageModel> model_;
};

TEST_F(AnswerMmluTest, TheMostProbableLetterBehindBosAndThePromptIsTheAnswer) {
  std::vector<MmluQuestion> questions;
  for (int i = 0; i < 12; ++i) questions.push_back({StrCat("Q", i * i, " Answer:"), "anatomy", i % 4});
  int told = 0;
  const auto answers = AnswerMmlu(*model_, *tokenizer_, questions, 0, [&] { ++told; });
  ASSERT_TRUE(answers.ok()) << answers.status();
  ASSERT_EQ(answers->size(), questions.size());
  EXPECT_EQ(told, 12);
  std::set<int> predicted;
  for (size_t i = 0; i < questions.size(); ++i) {
    std::vector<int32_t> ids = {tokenizer::kTinyEndOfText};  // Its BOS.
    for (const char byte : questions[i].prompt) ids.push_back(byte);
    EXPECT_EQ((*answers)[i].predicted, Best(ids)) << i;
    EXPECT_EQ((*answers)[i].right, questions[i].right);
    predicted.insert((*answers)[i].predicted);
  }
  EXPECT_GT(predicted.size(), 1u);  // It is no constant that is compared.
}

TEST_F(AnswerMmluTest, APromptThatIsTooLongIsRefusedOrCut) {
  const std::vector<MmluQuestion> questions = {{std::string(39, 'Q'), "anatomy", 0}};
  EXPECT_EQ(Message(AnswerMmlu(*model_, *tokenizer_, questions, 0, {}).status()),
            "question 1 (anatomy) has 40 tokens and the model takes 32: --max-length 32 cuts it");
  const auto cut = AnswerMmlu(*model_, *tokenizer_, questions, 8, {});
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_EQ((*cut)[0].predicted, Best({tokenizer::kTinyEndOfText, 'Q', 'Q', 'Q', 'Q', 'Q', 'Q', 'Q'}));
}

}  // namespace
}  // namespace ft::rank
