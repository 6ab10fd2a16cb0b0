#include "worker/rank/settings.h"

#include <gmock/gmock.h>

#include "worker/model/ops/micro_gemm.h"

namespace ft::rank {
namespace {

using ::testing::HasSubstr;

// A bf16 job rounds other things where bf16 is multiplied: its checkpoints must not pass for each other's.
TEST(NumericFingerprint, TellsCpusThatMultiplyBf16FromOthers) {
  const std::string fingerprint = NumericFingerprint(3);
  EXPECT_EQ(fingerprint.find("+bf16 ") != std::string::npos, ops::MultipliesBf16()) << fingerprint;
  EXPECT_THAT(fingerprint, HasSubstr(" threads=3 "));
  EXPECT_NE(fingerprint, NumericFingerprint(4));
}

// Four micro-batches are two of each of two ranks, and four of one: only what counts by rank tells them apart.
TEST(SettingsDigestTest, RanksAsSubmittedCountWhereARateIsCountedByThem) {
  recipe::JobSpec one, two;
  one.train.accumulation = 4;
  one.parallel = {.ranks = 1, .max_ranks = 2};
  two.train.accumulation = 2;
  two.parallel = {.ranks = 2, .max_ranks = 2};
  EXPECT_EQ(SettingsDigest(one), SettingsDigest(two));
  one.train.schedule.by = two.train.schedule.by = "micro_batch";
  EXPECT_NE(SettingsDigest(one), SettingsDigest(two));
}

// What is written down of a run is no part of what it computes.
TEST(SettingsDigestTest, TheLedgersStepsDoNotCount) {
  recipe::JobSpec often, seldom;
  seldom.train.ledger_every = 50;
  EXPECT_EQ(SettingsDigest(often), SettingsDigest(seldom));
}

TEST(SettingsDigestTest, TheOptimizerCountsByWhatItComputes) {
  const auto digest = [](const char* kind) {
    recipe::JobSpec spec;
    spec.train.optimizer.kind = kind;
    return SettingsDigest(spec);
  };
  EXPECT_EQ(digest("adamw"), digest("paged_adamw"));
  EXPECT_NE(digest("adamw"), digest("adamw_8bit"));
  EXPECT_NE(digest("adamw"), digest("sgd"));
}

// Whoever gave no order goes on from the checkpoints of who named the one that it stands for.
TEST(SettingsDigestTest, TheOrderOfAdditionsCountsAsItIsMeant) {
  const auto digest = [](const char* method, const char* exchange, int ranks) {
    recipe::JobSpec spec;
    spec.method.kind = method;
    spec.parallel = {.ranks = ranks, .exchange = exchange};
    return SettingsDigest(spec);
  };
  EXPECT_EQ(digest("full", "auto", 4), digest("full", "micro_batch", 4));
  EXPECT_NE(digest("full", "auto", 4), digest("full", "step", 4));
  EXPECT_EQ(digest("lora", "auto", 4), digest("lora", "step", 4));
  EXPECT_NE(digest("lora", "auto", 4), digest("lora", "micro_batch", 4));
  EXPECT_EQ(digest("full", "auto", 1), digest("full", "step", 1));
}

}  // namespace
}  // namespace ft::rank
