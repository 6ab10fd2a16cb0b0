#include "worker/train/trainer/resolve.h"

#include <gtest/gtest.h>

namespace ft::train {
namespace {

recipe::JobSpec ResolvedFor(const recipe::JobSpec& job, int64_t samples, int64_t length) {
  return ResolveFromData(job, samples, std::vector<int64_t>(static_cast<size_t>(samples), length));
}

int64_t StepsFor(const recipe::JobSpec& job, int64_t samples, int64_t length) {
  const recipe::JobSpec resolved = ResolvedFor(job, samples, length);
  return data::BatchSampler(
             SamplerConfigOf(resolved, samples, std::vector<int64_t>(static_cast<size_t>(samples), length)))
      .total_steps();
}

// docs/decisions/0023: jobs stored by older programs name their epochs and must take the same steps again.
TEST(ResolvedTest, ANamedEpochHasTenStepsWhereTheDataAllowsIt) {
  const auto resolved = [](int64_t samples, int64_t length, recipe::JobSpec job) {
    return ResolvedFor(job, samples, length).train;
  };
  recipe::JobSpec packed;
  packed.train.epochs = 3;
  EXPECT_EQ(resolved(100000, 500, packed).accumulation, 16);
  EXPECT_EQ(resolved(100000, 500, packed).packed_length, 2048);
  EXPECT_EQ(resolved(320, 512, packed).accumulation, 8);    // 80 rows.
  EXPECT_EQ(resolved(100, 60, packed).packed_length, 600);  // Ten rows, not three.
  EXPECT_EQ(resolved(100, 60, packed).accumulation, 1);
  EXPECT_EQ(resolved(3, 60, packed).packed_length, 60);
  recipe::JobSpec said = packed;
  said.train.accumulation = 4;
  EXPECT_EQ(resolved(100, 60, said).packed_length, 2048);
  EXPECT_EQ(resolved(100, 60, said).accumulation, 4);
  recipe::JobSpec single = packed;
  single.train.packing = false;
  single.parallel.ranks = 2;
  EXPECT_EQ(resolved(85, 60, single).accumulation, 4);
  EXPECT_EQ(resolved(85, 60, single).packed_length, 0);
}

TEST(CasesResolveFromData, LittleDataIsSeenOftenEnoughToBeLearnt) {
  const auto epochs = [](int64_t samples) { return ResolvedFor({}, samples, 50).train.epochs; };
  EXPECT_EQ(epochs(8), 10);  // Eight steps an epoch; README's example.
  EXPECT_EQ(epochs(80), 10);
  EXPECT_EQ(epochs(100), 8);  // 800 samples seen.
  EXPECT_EQ(epochs(266), 4);
  EXPECT_EQ(epochs(267), 3);
  EXPECT_EQ(epochs(100000), 3);
  EXPECT_EQ(StepsFor({}, 8, 50), 80);
  for (const int64_t samples : {20, 30, 100, 300, 1000, 5000})
    EXPECT_GE(StepsFor({}, samples, 50), 80) << samples;
}

TEST(CasesResolveFromData, ShortRunsGetLargerRates) {
  const recipe::JobSpec little = ResolvedFor({}, 8, 50);
  EXPECT_EQ(little.method.rank, 16);
  EXPECT_EQ(little.method.alpha, 32);
  EXPECT_EQ(little.train.optimizer.lr, 5e-4);
  EXPECT_GE(StepsFor({}, 100000, 500), kStepsOfALongRun);
  const recipe::JobSpec much = ResolvedFor({}, 100000, 500);
  EXPECT_EQ(much.method.rank, 64);
  EXPECT_EQ(much.method.alpha, 16);
  EXPECT_EQ(much.train.optimizer.lr, 2e-4);
  recipe::JobSpec full;
  full.method.kind = "full";
  EXPECT_EQ(ResolvedFor(full, 8, 50).train.optimizer.lr, 1e-4);
  EXPECT_EQ(ResolvedFor(full, 100000, 500).train.optimizer.lr, 2e-5);
}

TEST(ResolvedTest, WhatIsNamedStands) {
  recipe::JobSpec named;
  named.train.epochs = 2;
  named.method.rank = 8;
  named.method.alpha = 4;
  named.train.optimizer.lr = 0.25;
  named.train.accumulation = 3;
  named.train.packed_length = 512;
  const recipe::JobSpec resolved = ResolvedFor(named, 8, 50);
  EXPECT_EQ(resolved.train.epochs, 2);
  EXPECT_EQ(resolved.method.rank, 8);
  EXPECT_EQ(resolved.method.alpha, 4);
  EXPECT_EQ(resolved.train.optimizer.lr, 0.25);
  EXPECT_EQ(resolved.train.accumulation, 3);
  EXPECT_EQ(resolved.train.packed_length, 512);
  recipe::JobSpec steps;
  steps.train.max_steps = 500;
  EXPECT_EQ(ResolvedFor(steps, 8, 50).train.epochs, 3);
  EXPECT_EQ(ResolvedFor(steps, 8, 50).method.rank, 64);  // 500 steps are many.
}

}  // namespace
}  // namespace ft::train
