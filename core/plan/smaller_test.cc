#include "core/plan/smaller.h"

#include <gtest/gtest.h>

#include "core/plan/llama_7b_fixture.h"

namespace ft::plan {
namespace {

recipe::JobSpec Job() {
  recipe::JobSpec spec;
  spec.method.kind = "lora";
  spec.method.rank = 64;
  spec.train.micro_batch = 4;
  spec.train.accumulation = 2;
  spec.train.max_length = 2048;
  spec.train.activation_checkpointing = false;
  return spec;
}

int64_t Bytes(const recipe::JobSpec& spec) { return TotalBytes(EstimateMemory(kLlama7B, spec, true, {})); }

TEST(SmallestChange, TakesWhatCostsLeastFirst) {
  recipe::JobSpec spec = Job();
  spec.train.activation_checkpointing = true;
  EXPECT_EQ(SmallestChange(kLlama7B, Job(), true, {}, Bytes(spec)), "train.activation_checkpointing: true");
  spec.train.micro_batch = 1;
  EXPECT_EQ(SmallestChange(kLlama7B, Job(), true, {}, Bytes(spec)),
            "train.activation_checkpointing: true and train.micro_batch: 1");
  spec.method.kind = "qlora";
  EXPECT_EQ(SmallestChange(kLlama7B, Job(), true, {}, Bytes(spec)),
            "train.activation_checkpointing: true and train.micro_batch: 1 and method.kind: qlora");
  spec.method.rank = 8;
  EXPECT_EQ(SmallestChange(kLlama7B, Job(), true, {}, Bytes(spec)),
            "train.activation_checkpointing: true and train.micro_batch: 1 and method.kind: qlora and "
            "method.rank: 8");
}

TEST(SmallestChange, IsEmptyWhereNothingSuffices) {
  EXPECT_EQ(SmallestChange(kLlama7B, Job(), true, {}, 1 << 29), "");
}

// From what was asked for: nothing that did not suffice stays, samples are not cut.
TEST(SmallestChange, OfAFullFineTuningIsAnotherMethodAtTheEnd) {
  recipe::JobSpec spec = Job();
  spec.method.kind = "full";
  const std::string change = SmallestChange(kLlama7B, spec, true, {}, int64_t{16} << 30);
  EXPECT_EQ(change, "method.kind: qlora and train.activation_checkpointing: true and train.micro_batch: 2");
}

// Without its own order of additions the gradient is whole on each rank.
TEST(SmallestChange, OfAFullFineTuningOnRanksIsTheOrderOnlyWhereItWasAskedForOtherwise) {
  recipe::JobSpec spec = Job();
  spec.method.kind = "full";
  spec.train.activation_checkpointing = true;
  spec.train.micro_batch = 1;
  spec.parallel = {.ranks = 4, .zero = 2};
  const int64_t divided = Bytes(spec);
  spec.parallel.exchange = "step";
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, divided),
            "parallel.zero: 3 and parallel.exchange: micro_batch");
  spec.parallel = {.ranks = 4};
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, divided), "parallel.zero: 1");
  spec.parallel.zero = 3;
  const int64_t units = Bytes(spec);
  EXPECT_LT(units, divided);
  spec.parallel.zero = 0;
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, units), "parallel.zero: 3");
}

// A card's memory is what is short: rows get no longer than a sample needs, and moments lose bits, before ranks divide anything.
TEST(SmallestChange, OfACardShortensRowsAndMomentsFirst) {
  recipe::JobSpec spec = Job();
  spec.resources.device = "gpu";
  spec.train.packing = true;
  spec.train.packed_length = 8192;
  recipe::JobSpec smaller = spec;
  smaller.train.packed_length = 2048;
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, Bytes(smaller)), "train.packed_length: 2048");
  smaller.train.activation_checkpointing = true;
  smaller.train.optimizer.kind = "adamw_8bit";
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, Bytes(smaller)),
            "train.packed_length: 2048 and train.activation_checkpointing: true and "
            "train.optimizer.kind: adamw_8bit");
}

// What changes no bit of the result comes before another method and before samples are cut.
TEST(SmallestChange, RestsTheStateOfAFullFineTuningAndThenWeights) {
  recipe::JobSpec spec = Job();
  spec.method.kind = "full";
  spec.train.activation_checkpointing = true;
  spec.train.micro_batch = 1;
  recipe::JobSpec smaller = spec;
  smaller.parallel.offload.optimizer = "disk";
  EXPECT_LT(Bytes(smaller), Bytes(spec) * 7 / 10);
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, Bytes(smaller)), "parallel.offload.optimizer: disk");
  smaller.parallel.offload.parameters = "disk";
  smaller.parallel.zero = 3;
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, Bytes(smaller)),
            "parallel.offload.optimizer: disk and parallel.zero: 3 and parallel.offload.parameters: disk");
  spec.resources.device = "gpu";
  spec.train.optimizer.kind = "adamw_8bit";
  smaller = spec;
  smaller.parallel.offload.optimizer = "cpu";
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, Bytes(smaller)), "parallel.offload.optimizer: cpu");
  spec.train.optimizer.kind = "sgd";  // Has no state.
  smaller = spec;
  smaller.parallel.offload.parameters = "cpu";
  smaller.parallel.zero = 3;
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, Bytes(smaller)),
            "parallel.zero: 3 and parallel.offload.parameters: cpu");
}

TEST(SmallestChange, RestsAFrozenBaseBeforeSamplesAreCut) {
  recipe::JobSpec spec = Job();
  spec.resources.device = "gpu";
  spec.method.kind = "qlora";
  spec.method.rank = 8;
  spec.train.activation_checkpointing = true;
  spec.train.micro_batch = 1;
  spec.train.optimizer.kind = "adamw_8bit";
  recipe::JobSpec smaller = spec;
  smaller.parallel.offload.parameters = "cpu";
  EXPECT_EQ(SmallestChange(kLlama7B, spec, true, {}, Bytes(smaller)), "parallel.offload.parameters: cpu");
}

TEST(FixedBytes, AreThoseThatNoSettingChanges) {
  EXPECT_EQ(FixedBytes({{"a", 1}, {"d", 9, true}, {"e", 2, true}}), 11);
}

TEST(LargestPart, IsTheOneThatTakesMost) {
  EXPECT_EQ(LargestPart({{"a", 1}, {"b", 3}, {"c", 2}, {"d", 9, true}}).name, "b");
}

}  // namespace
}  // namespace ft::plan
