#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/support/temp_dir.h"
#include "worker/data/cache/token_cache.h"
#include "worker/data/prepare/prepare.h"
#include "worker/data/readers/parquet_fixture.h"

namespace ft::prepare {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

template <typename Span>
std::vector<int> Numbers(Span span) {
  return {span.begin(), span.end()};
}

class PrepareTokensTest : public ::testing::Test {
 protected:
  PrepareTokensTest() {
    request_.vocab_size = 100;
    request_.roots.allowed = {dir_.path()};
    request_.cache_dir = dir_ / "cache";
    request_.spec.train.max_length = 8;
  }
  void AddFile(const std::string& name, const std::string& content) {
    ASSERT_TRUE(WriteFileDurably(dir_ / name, content).ok());
    recipe::DataSource source;
    source.source = (dir_ / name).string();
    source.format = "tokens";
    request_.spec.data.push_back(source);
  }
  std::string ErrorOf(const std::string& content) {
    request_.spec.data.clear();
    AddFile("bad.jsonl", content);
    const Status status = Prepare(request_).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    return std::string(Message(status));
  }

  ft::testing::TempDir dir_;
  PrepareRequest request_;
};

TEST_F(PrepareTokensTest, RowsOfParquetAreReadAsLines) {
  data::FileToWrite file{.top_columns = 2,
                         .elements = {{.name = "input_ids", .repetition = 2, .type = 2},
                                      {.name = "labels", .repetition = 2, .type = 2}}};
  const auto numbers = [](std::vector<int64_t> values) {
    return data::ColumnToWrite{.type = 2,
                               .pages = {{.entries = 4,
                                          .values = data::PlainNumbers(values),
                                          .repetitions = data::ParquetRunBytes({0, 1, 0, 1}),
                                          .definitions = data::ParquetRunBytes({1, 1, 1, 1})}}};
  };
  file.groups = {{2, {numbers({1, 2, 3, 4}), numbers({-100, 2, -100, 4})}}};
  AddFile("t.parquet", data::ParquetBytes(file));
  request_.spec.data[0].format = "auto";
  auto report = Prepare(request_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->samples, 2);
  EXPECT_EQ(report->supervised_tokens, 2);
  file.groups = {{2, {numbers({1, 2, 3, 100}), numbers({-100, 2, -100, 100})}}};
  request_.spec.data.clear();
  AddFile("t.parquet", data::ParquetBytes(file));
  EXPECT_THAT(std::string(Message(Prepare(request_).status())),
              HasSubstr("t.parquet row 2: id 100 at position 1 is outside"));
}

// Ids of the training samples' first tokens, in the cache's order.
std::vector<int32_t> FirstIds(const PrepareRequest& request) {
  auto report = Prepare(request);
  EXPECT_TRUE(report.ok()) << report.status();
  if (!report.ok()) return {};
  auto cache = data::TokenCache::Open(report->cache_path, /*verify=*/true);
  EXPECT_TRUE(cache.ok()) << cache.status();
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < cache->train_samples(); ++i) ids.push_back(cache->at(i).ids[0]);
  EXPECT_EQ(report->samples, cache->samples());
  EXPECT_EQ(report->tokens, cache->tokens());
  EXPECT_EQ(report->supervised_tokens, cache->supervised_tokens());
  EXPECT_EQ(std::ssize(report->train_lengths), cache->train_samples());
  return ids;
}

TEST_F(PrepareTokensTest, WeightsSayHowOftenAnEpochHoldsARecord) {
  std::string few, many;
  for (int i = 10; i < 14; ++i) StrAppend(&few, "{\"input_ids\": [", i, ", 1, 2]}\n");
  for (int i = 20; i < 40; ++i) StrAppend(&many, "{\"input_ids\": [", i, ", 1]}\n");
  AddFile("few.jsonl", few);
  AddFile("many.jsonl", many);
  request_.spec.data[0].weight = 2.5;
  request_.spec.data[1].weight = 0.25;
  const std::vector<int32_t> ids = FirstIds(request_);
  ASSERT_EQ(ids.size(), 15u);
  EXPECT_THAT(std::vector(ids.begin(), ids.begin() + 8), ElementsAre(10, 11, 12, 13, 10, 11, 12, 13));
  const std::vector<int32_t> half(ids.begin() + 8, ids.begin() + 10), quarter(ids.begin() + 10, ids.end());
  EXPECT_LT(half[0], half[1]);
  EXPECT_GE(half[0], 10);
  EXPECT_LT(half[1], 14);
  EXPECT_TRUE(std::is_sorted(quarter.begin(), quarter.end()));
  EXPECT_EQ(std::set<int32_t>(quarter.begin(), quarter.end()).size(), 5u);
  EXPECT_GE(quarter[0], 20);
  EXPECT_EQ(FirstIds(request_), ids);
  const auto report = Prepare(request_);
  EXPECT_THAT(
      report->lines,
      Contains(HasSubstr(
          "few.jsonl: weight 2.5: an epoch holds its 4 records 10 times in all, chosen by train.seed")));
  EXPECT_THAT(report->lines,
              Contains(HasSubstr("many.jsonl: weight 0.25: an epoch holds its 20 records 5 times in all")));
  request_.spec.train.seed += 1;
  const std::vector<int32_t> other = FirstIds(request_);
  EXPECT_EQ(other.size(), ids.size());
  EXPECT_NE(other, ids);
}

TEST_F(PrepareTokensTest, WeightsLeaveTheHeldOutRecordsAloneAndNoSourceOut) {
  std::string content;
  for (int i = 10; i < 20; ++i) StrAppend(&content, "{\"input_ids\": [", i, ", 1]}\n");
  AddFile("t.jsonl", content);
  request_.spec.holdout = 0.2;
  const std::vector<int32_t> once = FirstIds(request_);
  ASSERT_EQ(once.size(), 8u);
  request_.spec.data[0].weight = 3;
  std::vector<int32_t> thrice = once;
  thrice.insert(thrice.end(), once.begin(), once.end());
  thrice.insert(thrice.end(), once.begin(), once.end());
  EXPECT_EQ(FirstIds(request_), thrice);
  request_.spec.holdout = 0;
  request_.spec.data[0].weight = 0.001;
  EXPECT_EQ(FirstIds(request_).size(), 1u);
}

TEST_F(PrepareTokensTest, LinesBecomeTheCache) {
  AddFile("t.jsonl", "{\"input_ids\": [1, 2, 3], \"labels\": [-100, -100, 3]}\n{\"input_ids\": [4, 5]}\n");
  auto report = Prepare(request_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->samples, 2);
  EXPECT_EQ(report->tokens, 5);
  EXPECT_EQ(report->supervised_tokens, 2);  // Token 3, and 5; nothing predicts the 4.
  EXPECT_EQ(report->longest_sample, 3);
  auto cache = data::TokenCache::Open(report->cache_path, /*verify=*/true);
  ASSERT_TRUE(cache.ok()) << cache.status();
  EXPECT_EQ(cache->digest(), report->cache_digest);
  ASSERT_EQ(cache->samples(), 2);
  EXPECT_THAT(Numbers(cache->at(0).ids), ElementsAre(1, 2, 3));
  EXPECT_THAT(Numbers(cache->at(0).loss_mask), ElementsAre(0, 0, 1));
  EXPECT_THAT(Numbers(cache->at(1).loss_mask), ElementsAre(1, 1));
}

TEST_F(PrepareTokensTest, AnArrayGivesTheSameCacheAsLines) {
  AddFile("t.jsonl", "{\"input_ids\": [1, 2]}\n{\"input_ids\": [3, 4]}\n");
  auto lines = Prepare(request_);
  request_.spec.data.clear();
  AddFile("t.json",
          "[\n  {\"input_ids\": [1, 2]},\n  {\"input_ids\": [3, 4], \"attention_mask\": [1, 1]}\n]\n");
  auto array = Prepare(request_);
  ASSERT_TRUE(lines.ok()) << lines.status();
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_EQ(lines->cache_digest, array->cache_digest);
}

TEST_F(PrepareTokensTest, HeldOutShareIsExactAndFollowsTheSeed) {
  std::string content;
  for (int i = 0; i < 40; ++i) content += "{\"input_ids\": [" + std::to_string(i) + ", 1]}\n";
  AddFile("t.jsonl", content);
  request_.spec.holdout = 0.1;
  auto first = Prepare(request_);
  auto again = Prepare(request_);
  request_.spec.train.seed = 7;
  auto other = Prepare(request_);
  ASSERT_TRUE(first.ok() && again.ok() && other.ok());
  EXPECT_EQ(first->holdout_samples, 4);
  EXPECT_EQ(first->cache_digest, again->cache_digest);
  EXPECT_NE(first->cache_digest, other->cache_digest);
  EXPECT_EQ(data::TokenCache::Open(first->cache_path, true)->train_samples(), 36);
}

TEST_F(PrepareTokensTest, LongSamplesAreCutWithinTheAllowedShare) {
  request_.spec.gate.max_truncated = 0.5;
  AddFile("t.jsonl", "{\"input_ids\": [1,2,3,4,5,6,7,8,9,10]}\n{\"input_ids\": [4, 5]}\n");
  auto report = Prepare(request_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->truncated_samples, 1);
  EXPECT_EQ(report->longest_sample, 8);
  request_.spec.gate.max_truncated = 0.4;
  const Status refused = Prepare(request_).status();
  EXPECT_THAT(std::string(Message(refused)),
              HasSubstr("1 of 2 samples (50%) are longer than train.max_length 8 and would be cut"));
  request_.spec.gate.allow_truncation = true;
  EXPECT_TRUE(Prepare(request_).ok());
}

TEST_F(PrepareTokensTest, IdOutsideTheVocabularyIsNamedByLineAndPosition) {
  EXPECT_THAT(
      ErrorOf("{\"input_ids\": [1, 2]}\n{\"input_ids\": [1, 100]}\n"),
      HasSubstr("bad.jsonl line 2: id 100 at position 1 is outside the model's vocabulary of 100 ids"));
  EXPECT_THAT(ErrorOf("{\"input_ids\": [-1, 2]}\n"), HasSubstr("id -1 at position 0"));
}

TEST_F(PrepareTokensTest, LabelUnlikeItsIdIsRefused) {
  EXPECT_THAT(ErrorOf("{\"input_ids\": [1, 2, 3], \"labels\": [2, 3, -100]}\n"),
              HasSubstr("bad.jsonl line 1: label 2 at position 0 is neither -100 nor the id there (1)"));
}

TEST_F(PrepareTokensTest, LabelsOfAnotherLengthAreRefused) {
  EXPECT_THAT(ErrorOf("{\"input_ids\": [1, 2, 3], \"labels\": [1]}\n"),
              HasSubstr("1 labels for 3 input_ids"));
  EXPECT_THAT(ErrorOf("{\"input_ids\": [1], \"labels\": [1, 2]}\n"), HasSubstr("2 labels for 1 input_ids"));
}

TEST_F(PrepareTokensTest, PaddingIsRefused) {
  EXPECT_THAT(ErrorOf("{\"input_ids\": [1, 2], \"attention_mask\": [1, 0]}\n"),
              HasSubstr("attention_mask at position 1 is not 1"));
}

TEST_F(PrepareTokensTest, UnknownDuplicateAndMissingKeysAreRefused) {
  EXPECT_THAT(ErrorOf("{\"input_ids\": [1, 2], \"label\": [1, 2]}\n"),
              HasSubstr("line 1: unknown key \"label\""));
  EXPECT_THAT(ErrorOf("{\"input_ids\": [1, 2], \"input_ids\": [1]}\n"),
              HasSubstr("\"input_ids\" stands twice"));
  EXPECT_THAT(ErrorOf("{\"labels\": [1, 2]}\n"), HasSubstr("input_ids is missing"));
  EXPECT_THAT(ErrorOf("{\"input_ids\": [1, 2.5]}\n"),
              HasSubstr("input_ids at position 1 is not a whole number"));
  EXPECT_THAT(ErrorOf("{\"input_ids\": \"1 2\"}\n"), HasSubstr("input_ids must be an array"));
}

TEST_F(PrepareTokensTest, SampleWithoutASupervisedTokenIsRefusedOrDropped) {
  const std::string content = "{\"input_ids\": [1, 2], \"labels\": [1, -100]}\n{\"input_ids\": [3, 4]}\n";
  EXPECT_THAT(ErrorOf(content), HasSubstr("1 of 2 samples are refused"));
  EXPECT_THAT(ErrorOf(content), HasSubstr("bad.jsonl line 1: no token carries loss"));
  request_.spec.gate.allow_unsupervised = true;
  auto report = Prepare(request_);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->samples, 1);
  EXPECT_EQ(report->dropped_samples, 1);
}

TEST_F(PrepareTokensTest, AllViolationsAreCountedAndTenListed) {
  std::string content;
  for (int i = 0; i < 25; ++i) content += "{\"input_ids\": [1]}\n";
  const std::string error = ErrorOf(content);
  EXPECT_THAT(error, HasSubstr("25 of 25 samples are refused"));
  EXPECT_THAT(error, HasSubstr("bad.jsonl line 10: "));
  EXPECT_THAT(error, Not(HasSubstr("bad.jsonl line 11: ")));
  EXPECT_THAT(error, HasSubstr("and 15 more"));
}

TEST_F(PrepareTokensTest, EmptyDataIsRefused) {
  EXPECT_THAT(ErrorOf(""), HasSubstr("bad.jsonl holds no records"));
  EXPECT_THAT(ErrorOf("[]"), HasSubstr("bad.jsonl holds no records"));
}

TEST_F(PrepareTokensTest, VocabularyComesFromTheModelsConfig) {
  request_.vocab_size = 0;
  request_.model = dir_ / "model";
  ASSERT_TRUE(MakeDirectories(request_.model).ok());
  ASSERT_TRUE(WriteFileDurably(request_.model / "config.json", "{\"vocab_size\": 3}").ok());
  EXPECT_THAT(ErrorOf("{\"input_ids\": [1, 3]}\n"), HasSubstr("vocabulary of 3 ids"));
  ASSERT_TRUE(WriteFileDurably(request_.model / "config.json", "{\"vocab_size\": \"3\"}").ok());
  EXPECT_THAT(ErrorOf("{\"input_ids\": [1, 3]}\n"),
              HasSubstr("config.json: vocab_size is not a positive whole number"));
}

}  // namespace
}  // namespace ft::prepare
