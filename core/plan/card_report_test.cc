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

TEST(CardReport, OfNoCardSaysNothingOfFitting) {
  const std::string text = ToText(ReportOf(kLlama7B, Job("full"), true, {}, UnknownCard()));
  EXPECT_THAT(text, Not(HasSubstr("fit")));
}

TEST(Cards, ThatAreNotKnownAreRefusedWithThoseThatAre) {
  EXPECT_THAT(std::string(CardOf("v100").status().message()),
              HasSubstr("--card v100 is not known: use one of a100-40g, a100-80g"));
}

// With more samples in a row flash attention splits less, and pads more.
TEST(CardReport, PartsAddUpToTheMomentThatHoldsMost) {
  const CardReport report = ReportOf(kLlama7B, Job("qlora"), true, {}, *CardOf("h100-80g"));
  EXPECT_EQ(report.total, TotalBytes(report.parts));
  EXPECT_GT(report.total, int64_t{8} * 1000 * 1000 * 1000);
  EXPECT_LT(report.total, int64_t{13} * 1000 * 1000 * 1000);  // What a GPU run of it is held to.
}

}  // namespace
}  // namespace ft::plan
