#include "worker/data/prepare/xtuner_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/data/cache/token_cache.h"
#include "worker/data/prepare/prepare.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::prepare {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The lengths of the rows that groups of samples of these lengths become, and last, below 0, what was dropped.
std::vector<int64_t> Rows(const std::vector<std::vector<size_t>>& groups) {
  std::vector<int64_t> lengths;
  XtunerRows rows(8, [&](const Sample& row) {
    EXPECT_EQ(row.ids.size(), row.loss_mask.size());
    lengths.push_back(std::ssize(row.ids));
  });
  for (const auto& group : groups) {
    for (const size_t length : group)
      rows.Add({std::vector<int32_t>(length, 1), std::vector<uint8_t>(length, 1)});
    rows.EndGroup();
  }
  lengths.push_back(-rows.Finish());
  return lengths;
}

TEST(XtunerRowsTest, GroupsAreCutIntoRowsAsThere) {
  EXPECT_THAT(Rows({{5, 5, 5}, {3, 2}, {7, 6}}), ElementsAre(8, 8, 8, 8, -1));
  EXPECT_THAT(Rows({{3, 2}}), ElementsAre(5, 0));
  EXPECT_THAT(Rows({{5, 5}, {1}}), ElementsAre(8, 3, 0));
  EXPECT_THAT(Rows({{5, 6}, {2}, {9}}), ElementsAre(8, 5, 8, -1));
}

TEST(XtunerRowsTest, AThousandSamplesAreAGroup) {
  std::vector<int64_t> lengths;
  XtunerRows rows(1500, [&](const Sample& row) { lengths.push_back(std::ssize(row.ids)); });
  for (int i = 0; i < 2001; ++i) rows.Add({{i}, {1}});
  // The first thousand fills no row, and is one; so is the second, and the last sample.
  EXPECT_EQ(rows.Finish(), 0);
  EXPECT_THAT(lengths, ElementsAre(1000, 1000, 1));
}

class XtunerPrepareTest : public ::testing::Test {
 protected:
  XtunerPrepareTest() {
    request_.model = dir_ / "model";
    request_.roots.allowed = {dir_.path()};
    request_.cache_dir = dir_ / "cache";
    request_.spec.compat = "xtuner-0.1.9";
    request_.spec.train.tokenize = "pieces";
    request_.spec.train.max_length = 64;
    request_.spec.train.shuffle = false;
    request_.spec.gate = {.allow_unsupervised = true, .allow_truncation = true, .allow_empty_output = true};
    tokenizer::WriteTinyTokenizer(request_.model, tokenizer::TinyTokenizerJson(),
                                  tokenizer::TinyTokenizerConfig());
    EXPECT_TRUE(WriteFileDurably(request_.model / "config.json", "{\"vocab_size\": 267}").ok());
  }
  recipe::DataSource& Add(const std::string& name, const std::string& content) {
    EXPECT_TRUE(WriteFileDurably(dir_ / name, content).ok());
    recipe::DataSource& source = request_.spec.data.emplace_back();
    source.source = (dir_ / name).string();
    source.template_name = "default@0.1.9";
    return source;
  }
  // The ids of each sample of the cache, those without loss below 0 (as -1 - id).
  std::vector<std::vector<int32_t>> Prepared() {
    const auto report = Prepare(request_);
    EXPECT_TRUE(report.ok()) << report.status();
    std::vector<std::vector<int32_t>> samples;
    if (!report.ok()) return samples;
    lines_.clear();
    for (const std::string& line : report->lines) lines_ += line + "\n";
    const auto cache = data::TokenCache::Open(report->cache_path, /*verify=*/true);
    EXPECT_TRUE(cache.ok()) << cache.status();
    for (int64_t i = 0; i < cache->samples(); ++i) {
      const data::TokenSample sample = cache->at(i);
      std::vector<int32_t>& ids = samples.emplace_back();
      for (size_t k = 0; k < sample.ids.size(); ++k)
        ids.push_back(sample.loss_mask[k] == 1 ? sample.ids[k] : -1 - sample.ids[k]);
    }
    return samples;
  }
  std::vector<int32_t> Encoded(std::string_view text, bool loss) {
    const auto tokenizer = tokenizer::OpenTokenizer(request_.model);
    EXPECT_TRUE(tokenizer.ok());
    std::vector<int32_t> ids = *(*tokenizer)->Encode(text);
    if (!loss) {
      for (int32_t& id : ids) id = -1 - id;
    }
    return ids;
  }
  static constexpr int32_t kBos = tokenizer::kTinyEndOfText, kEos = tokenizer::kTinyImEnd;

  ft::testing::TempDir dir_;
  PrepareRequest request_;
  std::string lines_;
};

std::vector<int32_t> Joined(const std::vector<std::vector<int32_t>>& parts) {
  std::vector<int32_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

TEST_F(XtunerPrepareTest, EveryTurnHasBosAndItsPartsAreTokenisedApart) {
  request_.spec.train.packing = false;
  Add("a.jsonl",
      R"({"conversation": [{"system": "s", "input": "hi", "output": "yo"}, {"input": "", "output": "so"}]})");
  EXPECT_THAT(Prepared(), ElementsAre(Joined({{-1 - kBos},
                                              Encoded("<|System|>:s\n<|User|>:hi\n<|Bot|>:", false),
                                              Encoded("yo", true),
                                              {kEos, -1 - kBos},
                                              Encoded("\n<|Bot|>:", false),
                                              Encoded("so", true),
                                              {kEos}})));
}

TEST_F(XtunerPrepareTest, SamplesAreCutAndThoseWithoutLossAreKept) {
  request_.spec.train.packing = false;
  request_.spec.train.max_length = 8;
  Add("a.jsonl", R"({"conversation": [{"input": "a question that alone fills it", "output": "yo"}]})");
  const auto samples = Prepared();
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].size(), 8u);
  for (const int32_t id : samples[0]) EXPECT_LT(id, 0);
}

TEST_F(XtunerPrepareTest, RowsAreCutSourceBySourceAndTheRestIsLeftOut) {
  request_.spec.train.max_length = 16;
  const std::string one = R"({"conversation": [{"input": "hi", "output": "yo"}]})";
  Add("a.jsonl", one + "\n" + one);
  Add("b.jsonl", one);
  const std::vector<int32_t> sample =
      Joined({{-1 - kBos}, Encoded("<|User|>:hi\n<|Bot|>:", false), Encoded("yo", true), {kEos}});
  ASSERT_GT(sample.size(), 16u);  // Longer than a row: cut before it is packed.
  const std::vector<int32_t> cut(sample.begin(), sample.begin() + 16);
  EXPECT_THAT(Prepared(), ElementsAre(cut, cut, cut));
  request_.spec.train.max_length = static_cast<int64_t>(sample.size()) + 2;
  const std::vector<int32_t> two = Joined({sample, {sample[0], sample[1]}});
  EXPECT_THAT(Prepared(), ElementsAre(two, sample));  // Of the second source there is less than a row.
  EXPECT_THAT(lines_, HasSubstr("3 samples became 2 rows of at most "));
  EXPECT_THAT(lines_, HasSubstr(StrCat("as XTuner packs; ", sample.size() - 2,
                                       " tokens at the ends of sources left out")));
}

TEST_F(XtunerPrepareTest, TheSeedOrdersTheSamplesOfASource) {
  std::string lines;
  for (int i = 0; i < 20; ++i) lines += StrCat(R"({"conversation": [{"output": ")", i, "\"}]}\n");
  Add("a.jsonl", lines);
  const auto in_order = Prepared();
  request_.spec.train.shuffle = true;
  const auto first = Prepared();
  EXPECT_NE(first, in_order);
  EXPECT_EQ(first, Prepared());
  request_.spec.train.seed = 7;
  EXPECT_NE(first, Prepared());
}

TEST_F(XtunerPrepareTest, WhatIsNoRecordOfTheDataSetIsLeftOutAndNoted) {
  request_.spec.train.packing = false;
  Add("a.jsonl", "{\"text\": \"### Human: a### Assistant: b\"}\n{\"text\": \"### Human: c\"}\n").map =
      recipe::ColumnMap{.kind = "oasst1"};
  EXPECT_EQ(Prepared().size(), 1u);
  EXPECT_THAT(lines_,
              HasSubstr("a.jsonl: 1 record is none of oasst1's and left out, as XTuner does (first: "));
  EXPECT_THAT(lines_, HasSubstr("a.jsonl line 2)"));
}

TEST_F(XtunerPrepareTest, TextsAreTrimmedAndCutAndOnlyBosIsRead) {
  request_.spec.train.packing = false;
  Add("a.jsonl", R"({"text": "  hello\n"})").format = "text";
  EXPECT_THAT(Prepared(), ElementsAre(Joined({{-1 - kBos}, Encoded("hello", true), {kEos}})));
  request_.spec.train.max_length = 3;
  EXPECT_EQ(Prepared().size(), 1u);
}

TEST_F(XtunerPrepareTest, NothingToTrainOnIsSaid) {
  Add("a.jsonl", "{\"text\": \"### Human: c\"}\n").map = recipe::ColumnMap{.kind = "oasst1"};
  EXPECT_THAT(std::string(Message(Prepare(request_).status())),
              HasSubstr("no sample of 1 record is left to train on; 1 dropped"));
}

TEST_F(XtunerPrepareTest, RecordsAreChosenAtRandomWithoutReplacement) {
  request_.spec.train.packing = false;
  std::string lines;
  for (int i = 0; i < 200; ++i) lines += StrCat(R"({"conversation": [{"output": ")", 100 + i, "\"}]}\n");
  recipe::DataSource& source = Add("a.jsonl", lines);
  const auto all = Prepared();
  source.max_records = 20;
  source.choose = "random";
  const auto chosen = Prepared();
  ASSERT_EQ(chosen.size(), 20u);
  EXPECT_THAT(lines_, HasSubstr("a.jsonl: 20 of 200 records chosen at random, by train.seed"));
  // Each once, in the order of the file, and not the first ones.
  auto at = all.begin();
  for (const auto& sample : chosen) {
    at = std::find(at, all.end(), sample);
    ASSERT_NE(at, all.end());
    ++at;
  }
  EXPECT_NE(chosen, std::vector(all.begin(), all.begin() + 20));
  EXPECT_EQ(chosen, Prepared());
  request_.spec.train.seed = 7;
  EXPECT_NE(chosen, Prepared());
  source.max_records = 1000;
  EXPECT_EQ(all, Prepared());
}

TEST_F(XtunerPrepareTest, ARandomChoiceOfTokensIsRefused) {
  recipe::DataSource& source = Add("t.jsonl", R"({"input_ids": [1, 2]})");
  source.choose = "random";
  source.max_records = 1;
  EXPECT_THAT(std::string(Message(Prepare(request_).status())),
              HasSubstr("t.jsonl holds samples that were tokenised "
                        "elsewhere"));
}

constexpr const char* kMoss =
    R"({"meta_instruction": "You are MOSS.", "num_turns": 2, "chat": {"turn_1": {"Human": "<H>: hi", "Tool Responses": "<|Results|>:\nseen it all<eor>\n", "MOSS": "I, MOSS"}, "turn_2": {"MOSS": "b", "Human": "a"}}})";

TEST_F(XtunerPrepareTest, MossLearnsAllButItsInstructionAndWhatToolsGave) {
  request_.spec.train.max_length = 128;
  Add("m.jsonl", StrCat(kMoss, "\n", kMoss)).map = recipe::ColumnMap{.kind = "moss_sft", .bot_name = "Bob"};
  std::vector<int32_t> tool = Encoded("<|Results|>:\nseen it all<eor>\n", true);
  const size_t front = Encoded("<|Results|>:", true).size(), end = Encoded("<eor>\n", true).size();
  for (size_t i = front; i < tool.size() - end; ++i) tool[i] = -1 - tool[i];
  const std::vector<int32_t> first =
      Joined({Encoded("You are Bob.", false), Encoded("<H>: hi", true), tool, Encoded("I, Bob", true)});
  const std::vector<int32_t> whole = Joined({first, Encoded("b", true), Encoded("a", true)});
  EXPECT_THAT(Prepared(), ElementsAre(whole, whole));  // Not packed, whatever the job says.
  request_.spec.train.max_length = static_cast<int64_t>(whole.size()) - 1;
  EXPECT_THAT(Prepared(), ElementsAre(first, first));  // No turn is cut.
}

TEST_F(XtunerPrepareTest, WhatIsNoRecordOfMossIsNamed) {
  Add("m.jsonl", R"({"meta_instruction": "x", "chat": {"turn_2": {"Human": "a"}}})").map =
      recipe::ColumnMap{.kind = "moss_sft"};
  request_.spec.compat = "none";
  EXPECT_THAT(std::string(Message(Prepare(request_).status())),
              HasSubstr("m.jsonl line 1: \"chat\" has no object \"turn_1\""));
  request_.spec.data.clear();
  Add("m.jsonl", R"({"chat": {}})").map = recipe::ColumnMap{.kind = "moss_sft"};
  EXPECT_THAT(std::string(Message(Prepare(request_).status())),
              HasSubstr("\"meta_instruction\" must be a text"));
}

}  // namespace
}  // namespace ft::prepare
