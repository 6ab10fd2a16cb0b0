#include "client/job/outline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ft::client {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr const char* kConfig =
    R"({"model_type": "llama", "vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32,
  "num_attention_heads": 32, "intermediate_size": 11008})";

recipe::JobSpec SmallJob() {
  recipe::JobSpec spec;
  spec.model = {.source = "m", .dtype = "fp16"};
  spec.data.push_back({.source = "d"});
  spec.method.rank = 64;
  spec.method.alpha = 16;
  spec.train.epochs = 3;
  spec.train.accumulation = 16;
  spec.train.optimizer.lr = 2e-4;
  return spec;
}

std::string TextOf(const recipe::JobSpec& spec, int64_t records = 0) {
  const auto outline = OutlineOf(spec, kConfig, "config.json", records);
  EXPECT_TRUE(outline.ok()) << outline.status();
  return outline.ok() ? ToText(*outline) : "";
}

TEST(OutlineTest, WithoutRecordsStepsAreUnknown) {
  const std::string text = TextOf(SmallJob());
  EXPECT_THAT(text, HasSubstr("  base model     llama            6738.4 M weights by its config.json\n"));
  EXPECT_THAT(text, HasSubstr("  rank, alpha    64, 16           159907840 trained weights\n"));
  EXPECT_THAT(text, HasSubstr("  steps          unknown          3 epochs; --records N says of how many\n"));
  EXPECT_THAT(text, HasSubstr("  in all\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("refuses")));
}

TEST(OutlineTest, OfAJobForACardSaysWhetherItFits) {
  recipe::JobSpec spec = SmallJob();
  spec.resources.device = "gpu";
  spec.method.kind = "full";
  const auto outline = OutlineOf(spec, kConfig, "config.json", 0, *plan::CardOf("rtx4090-24g"));
  ASSERT_TRUE(outline.ok()) << outline.status();
  EXPECT_THAT(ToText(*outline), HasSubstr(" that can be used of rtx4090-24g\nSmallest change that fits: "));
  const auto tree = ToTree(*outline);
  EXPECT_EQ(tree["card"], "rtx4090-24g");
  EXPECT_EQ(tree["fits"], false);
  EXPECT_EQ(tree["memory_total_bytes"], outline->card->total);
}

TEST(OutlineTest, StepsGoOnOverAnEpochsEnd) {
  recipe::JobSpec spec = SmallJob();
  spec.train.packing = false;
  EXPECT_THAT(TextOf(spec, 100),
              HasSubstr("  steps          19               3 epochs over 100 records\n"));  // 300 / 16.
  spec.parallel.ranks = 8;
  spec.train.micro_batch = 2;
  spec.train.accumulation = 1;
  EXPECT_THAT(TextOf(spec, 100), HasSubstr("  steps          21 "));  // ceil(ceil(100 / 8) / 2) = 7 an epoch.
  EXPECT_THAT(TextOf(spec, 100), HasSubstr("  batch          2 x 8 "));
  spec.train.packing = true;
  EXPECT_THAT(
      TextOf(spec, 100),
      HasSubstr("at most 21       3 epochs over 100 records, fewer where several share a packed row"));
  spec.train.max_steps = 5;
  EXPECT_THAT(TextOf(spec), HasSubstr("  steps          5                train.max_steps\n"));
}

TEST(OutlineTest, ZeroIsShownAndWhatIsNotBuiltIsNamed) {
  recipe::JobSpec spec = SmallJob();
  spec.method.kind = "full";
  spec.parallel.zero = 2;
  spec.parallel.offload = {.optimizer = "cpu", .parameters = "cpu"};
  const auto outline = OutlineOf(spec, kConfig, "config.json", 0);
  ASSERT_TRUE(outline.ok()) << outline.status();
  EXPECT_THAT(ToText(*outline),
              HasSubstr("  zero           stage 2          optimizer on cpu, parameters on cpu\n"));
  EXPECT_THAT(outline->refused, Contains(HasSubstr("parallel.offload.parameters needs zero: 3")));
  EXPECT_THAT(outline->remarks, Contains(HasSubstr("that of stage 0")));
  EXPECT_EQ(ToTree(*outline)["steps"], nullptr);
}

TEST(OutlineTest, AStageOfOneRankIsToldToDivideNothing) {
  recipe::JobSpec spec = SmallJob();
  spec.parallel.zero = 1;
  auto outline = OutlineOf(spec, kConfig, "config.json", 0);
  ASSERT_TRUE(outline.ok()) << outline.status();
  EXPECT_TRUE(outline->refused.empty());
  EXPECT_THAT(outline->remarks,
              Contains("parallel.zero: 1 with one rank equals zero: 0, there is nothing to divide"));
  const int64_t alone = plan::TotalBytes(outline->memory);
  spec.parallel.ranks = 4;
  outline = OutlineOf(spec, kConfig, "config.json", 0);
  EXPECT_TRUE(outline->remarks.empty());
  EXPECT_NE(plan::TotalBytes(outline->memory), alone);
}

TEST(OutlineTest, WhatTheDataWouldChooseIsThatOfALongRun) {
  recipe::JobSpec spec;
  EXPECT_THAT(TextOf(spec), HasSubstr("  rank, alpha    64, 16 "));
  EXPECT_THAT(TextOf(spec), HasSubstr("  batch          1 x 16 "));
  EXPECT_THAT(TextOf(spec), HasSubstr("  learning rate  0.0002 cosine"));
}

TEST(OutlineTest, EightBitBasesTakeAByteAWeight) {
  recipe::JobSpec spec = SmallJob();
  const auto base = [&](const char* kind) {
    spec.method.kind = kind;
    return OutlineOf(spec, kConfig, "config.json", 0)->memory.front().bytes;
  };
  const int64_t weights = 32 * (4 * 4096LL * 4096 + 3 * 4096LL * 11008);
  EXPECT_NEAR(static_cast<double>(base("int8_lora") - base("qlora")), 0.484 * static_cast<double>(weights),
              0.01 * static_cast<double>(weights));
}

TEST(OutlineTest, AFamilyThatIsNotBuiltIsNamed) {
  std::string config = kConfig;
  config.replace(config.find("llama"), 5, "baichuan9");
  EXPECT_THAT(OutlineOf(SmallJob(), config, "config.json", 0)->refused,
              testing::ElementsAre(HasSubstr("model family \"baichuan9\" is not supported by this version")));
  config.replace(config.find("baichuan9"), 9, "baichuan");
  EXPECT_THAT(OutlineOf(SmallJob(), config, "config.json", 0)->refused, testing::IsEmpty());
}

TEST(OutlineTest, AWrongConfigIsNamed) {
  EXPECT_THAT(std::string(Message(OutlineOf(SmallJob(), "{}", "/m/config.json", 0).status())),
              HasSubstr("/m/config.json: has no vocab_size"));
}

}  // namespace
}  // namespace ft::client
