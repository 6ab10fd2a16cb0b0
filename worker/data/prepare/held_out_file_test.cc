#include "worker/data/prepare/held_out_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ft::prepare {
namespace {

using ::testing::ElementsAre;

recipe::JobSpec Job() {
  recipe::JobSpec spec;
  spec.data = {{.source = "/train.jsonl",
                .format = "table",
                .template_name = "alpaca@0.1.9",
                .map = recipe::ColumnMap{.input = "Q", .output = "A"},
                .max_records = 3,
                .weight = 2},
               {.source = "/other.jsonl"}};
  spec.holdout = 0.2;
  spec.train.max_length = 99;
  return spec;
}

TEST(HeldOutFileTest, AFileIsReadAsTheFirstSourceAndWhole) {
  const recipe::JobSpec job = JobOfFile(Job(), "/held_out.jsonl");
  ASSERT_EQ(job.data.size(), 1u);
  EXPECT_EQ(job.data[0].source, "/held_out.jsonl");
  EXPECT_EQ(job.data[0].template_name, "alpaca@0.1.9");
  EXPECT_EQ(job.data[0].format, "table");
  ASSERT_TRUE(job.data[0].map.has_value());
  EXPECT_EQ(job.data[0].map->input, "Q");
  EXPECT_EQ(job.data[0].max_records, 0);
  EXPECT_EQ(job.data[0].weight, 1);
  EXPECT_EQ(job.holdout, 0);
  EXPECT_FALSE(job.train.packing);
  EXPECT_EQ(job.train.max_length, 99);
}

TEST(HeldOutFileTest, ATextFileIsPlainText) {
  const recipe::DataSource source = JobOfFile(Job(), "/wiki.txt").data[0];
  EXPECT_EQ(source.format, "auto");
  EXPECT_FALSE(source.map.has_value());
}

TEST(HeldOutFileTest, EveryFileHasANameOfItsOwn) {
  EXPECT_THAT(NamesOfFiles({"/a/wiki.txt", "/b/wiki.jsonl", "/holdout.csv", "/c.tar.gz", "/d/wiki.txt"}),
              ElementsAre("wiki", "wiki.2", "holdout.2", "c.tar", "wiki.3"));
}

TEST(HeldOutFileTest, TheSentenceSaysWhatCounts) {
  EXPECT_EQ(HeldOutSentence("/a.txt", {.samples = 2, .tokens = 30, .supervised_tokens = 28}, 16),
            "/a.txt: 2 samples for perplexity, 30 tokens of which 28 count");
  EXPECT_EQ(HeldOutSentence("/a.txt",
                            {.samples = 1, .tokens = 2, .supervised_tokens = 1, .truncated_samples = 1}, 16),
            "/a.txt: 1 sample for perplexity, 2 tokens of which 1 counts; 1 was cut to 16");
}

}  // namespace
}  // namespace ft::prepare
