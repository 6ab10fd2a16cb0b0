#include "core/plan/card_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/plan/llama_7b_fixture.h"

namespace ft::plan {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

recipe::JobSpec Job(const char* method) {
  recipe::JobSpec spec;
  spec.resources.device = "gpu";
  spec.method = {.kind = method, .rank = 64};
  spec.train.max_length = 2048;
  spec.train.packed_length = 2048;
  return spec;
}

TEST(CardReport, SaysWhatFitsOnWhichCard) {
  const CardReport report = ReportOf(kLlama7B, Job("qlora"), true, {}, *CardOf("rtx4090-24g"));
  EXPECT_TRUE(report.fits());
  const std::string text = ToText(report);
  EXPECT_THAT(text, HasSubstr("base weights"));
  EXPECT_THAT(text, HasSubstr("It fits: "));
  EXPECT_THAT(text, HasSubstr(" of the 25.20 GB that can be used of rtx4090-24g\n"));
}

TEST(CardReport, OfWhatDoesNotFitNamesTheSmallestChange) {
  const CardReport report = ReportOf(kLlama7B, Job("lora"), true, {}, *CardOf("rtx4090-24g"));
  const CardReport full = ReportOf(kLlama7B, Job("full"), true, {}, *CardOf("rtx4090-24g"));
  EXPECT_TRUE(report.fits()) << report.total;
  ASSERT_FALSE(full.fits());
  EXPECT_THAT(ToText(full), HasSubstr("It does not fit: "));
  EXPECT_THAT(ToText(full), HasSubstr("Smallest change that fits: "));
  EXPECT_THAT(full.change, HasSubstr("method.kind: qlora"));
}

TEST(CardReport, OfWhatNothingMakesFitSaysThat) {
  ModelShape large = kLlama7B;
  large.layers = 4000;
  const std::string text = ToText(ReportOf(large, Job("qlora"), true, {}, *CardOf("rtx4090-24g")));
  EXPECT_THAT(text, HasSubstr("No setting makes it fit"));
}

TEST(CardReport, WhatRestsElsewhereIsCountedThere) {
  recipe::JobSpec spec = Job("qlora");
  const CardReport stays = ReportOf(kLlama7B, spec, true, {}, UnknownCard());
  spec.parallel.offload = {.optimizer = "disk", .parameters = "cpu"};
  const CardReport moved = ReportOf(kLlama7B, spec, true, {}, UnknownCard());
  ASSERT_EQ(stays.parts[0].name, "base weights");
  EXPECT_NEAR(static_cast<double>(moved.beside.host), static_cast<double>(stays.parts[0].bytes), 512);
  EXPECT_EQ(moved.beside.disk, 8 * TrainableParameters(kLlama7B, spec.method));
  // Two neighbours in a pass stay: a block and a table.
  EXPECT_LT(moved.parts[0].bytes, stays.parts[0].bytes / 8);
  EXPECT_THAT(ToText(moved), HasSubstr("beside it, in its host's memory\n"));
  EXPECT_THAT(ToText(moved), HasSubstr("beside it, in files on its node\n"));
  EXPECT_THAT(ToText(stays), Not(HasSubstr("beside it")));
  spec.parallel.ranks = 2;
  spec.parallel.zero = 3;
  const CardReport divided = ReportOf(kLlama7B, spec, true, {}, UnknownCard());
  // Half of the base, and of the values of what is trained.
  EXPECT_NEAR(static_cast<double>(divided.beside.host),
              static_cast<double>(moved.beside.host / 2 + 2 * TrainableParameters(kLlama7B, spec.method)), 2);
  EXPECT_EQ(divided.beside.disk, moved.beside.disk / 2);
  EXPECT_NE(divided.parts[0].name, "base weights");  // There are none between passes.
}

TEST(CardReport, OfNoCardSaysNothingOfFitting) {
  const std::string text = ToText(ReportOf(kLlama7B, Job("full"), true, {}, UnknownCard()));
  EXPECT_THAT(text, Not(HasSubstr("fit")));
}

TEST(Cards, ThatAreNotKnownAreRefusedWithThoseThatAre) {
  EXPECT_THAT(std::string(CardOf("v100").status().message()),
              HasSubstr("--card v100 is not known: use one of a100-40g, a100-80g"));
}

TEST(CardReport, PartsAddUpToTheMomentThatHoldsMost) {
  const CardReport report = ReportOf(kLlama7B, Job("qlora"), true, {}, *CardOf("h100-80g"));
  EXPECT_EQ(report.total, TotalBytes(report.parts));
  EXPECT_GT(report.total, int64_t{8} * 1000 * 1000 * 1000);
  EXPECT_LT(report.total, int64_t{13} * 1000 * 1000 * 1000);  // What a GPU run of it is held to.
}

// A family whose layers have names of their own is not taken for one without layers.
TEST(CardReport, OfLayersWithOtherNamesIsThatOfLlama) {
  ModelShape other = kLlama7B;
  other.projections = {{"a", 4096, 12288}, {"b", 4096, 4096}, {"c", 4096, 22016}, {"d", 11008, 4096}};
  const int64_t total = ReportOf(other, Job("full"), true, {}, *CardOf("h100-80g")).total;
  EXPECT_EQ(total, ReportOf(kLlama7B, Job("full"), true, {}, *CardOf("h100-80g")).total);
}

// Of Mixtral a row passes two experts of eight, and all eight lie in memory.
TEST(CardReport, ExpertsAreCountedByTheWidthThatARowPasses) {
  ModelShape experts = kLlama7B, dense = kLlama7B;
  experts.chosen_experts = 2;
  experts.intermediate = 2 * 11008;
  experts.projections = {{"q_proj", 4096, 4096},          {"k_proj", 4096, 4096},
                         {"v_proj", 4096, 4096},          {"o_proj", 4096, 4096},
                         {"w1", 4096, 11008, 8 * 32, 64}, {"w3", 4096, 11008, 8 * 32, 64},
                         {"w2", 11008, 4096, 8 * 32, 64}};
  dense.intermediate = 2 * 11008;
  const auto kept = [](const ModelShape& shape) {
    recipe::JobSpec spec = Job("qlora");
    spec.train.activation_checkpointing = false;
    for (const MemoryPart& part : ReportOf(shape, spec, true, {}, UnknownCard()).parts) {
      if (part.name == "kept activations") return part.bytes;
    }
    return int64_t{0};
  };
  EXPECT_GT(kept(experts), kept(dense));  // By the copies of rows.
  EXPECT_LT(kept(experts), 2 * kept(dense));
}

}  // namespace
}  // namespace ft::plan
