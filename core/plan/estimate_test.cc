#include "core/plan/estimate.h"

#include <gtest/gtest.h>

#include "core/plan/device_memory.h"
#include "core/plan/llama_7b_fixture.h"

namespace ft::plan {
namespace {

TEST(EstimateTest, CountsOfLlama7BEqualPublishedOnes) {
  EXPECT_EQ(ParameterCount(kLlama7B), 6'738'415'616);
  recipe::MethodSpec method{.kind = "qlora", .rank = 64};
  EXPECT_EQ(TrainableParameters(kLlama7B, method), 159'907'840);  // XTuner's count for the same targets.
  method.targets = {"q_proj", "v_proj"};
  EXPECT_EQ(TrainableParameters(kLlama7B, method), 32 * 2 * 64 * 8192);
  method.kind = "full";
  EXPECT_EQ(TrainableParameters(kLlama7B, method), ParameterCount(kLlama7B));
}

TEST(EstimateTest, ProjectionsAreThoseOfTheFamily) {
  ModelShape fused = kLlama7B;
  fused.projections = {{"W_pack", 4096, 12288}, {"o_proj", 4096, 4096}};
  EXPECT_EQ(LinearParameters(fused), int64_t{32} * (4096 * 12288 + 4096 * 4096));
  const recipe::MethodSpec method{.kind = "lora", .rank = 8, .targets = {"W_pack"}};
  EXPECT_EQ(TrainableParameters(fused, method), 32 * 8 * (4096 + 12288));
}

TEST(EstimateTest, QloraOfLlama7BNeedsWhatPeersMeasure) {
  recipe::JobSpec spec;
  spec.method.kind = "qlora";
  const double gib = static_cast<double>(TotalBytes(EstimateMemory(kLlama7B, spec, true, {}))) / (1 << 30);
  EXPECT_GT(gib, 6.0);
  EXPECT_LT(gib, 10.0);
}

// Peaks of the jobs of `make bench` on two cores without bf16 products, GiB: docs/decisions/0025.
TEST(EstimateTest, TheDemoModelNeedsWhatWasMeasured) {
  const ModelShape demo{.vocabulary = 49152,
                        .hidden = 576,
                        .layers = 30,
                        .heads = 9,
                        .key_heads = 3,
                        .head_size = 64,
                        .intermediate = 1536,
                        .tied_head = true};
  recipe::JobSpec spec;
  spec.method.kind = "qlora";
  spec.method.rank = 64;
  spec.train.max_length = 512;
  const auto gib = [&] {
    return static_cast<double>(TotalBytes(EstimateMemory(demo, spec, true, {512, 4096}))) / (1 << 30);
  };
  EXPECT_NEAR(gib(), 0.84, 0.08);
  spec.train.activation_checkpointing = false;
  EXPECT_NEAR(gib(), 1.09, 0.1);
  spec.train.activation_checkpointing = true;
  spec.train.max_length = 2048;
  EXPECT_NEAR(gib(), 1.20, 0.1);
}

// Of a state that rests elsewhere three tiles of half a million weights are there; on a CPU the host's memory is not elsewhere.
TEST(EstimateTest, AStateThatRestsElsewhereIsThreeTiles) {
  recipe::JobSpec spec;
  spec.method.kind = "full";
  const auto total = [&](const char* tier, const char* device, const char* kind) {
    spec.parallel.offload.optimizer = tier;
    spec.resources.device = device;
    spec.train.optimizer.kind = kind;
    return TotalBytes(EstimateMemory(kLlama7B, spec, true, {}));
  };
  const int64_t state = 8 * TrainableParameters(kLlama7B, spec.method), tiles = int64_t{3} << 22;
  for (const char* device : {"cpu", "gpu"}) {
    EXPECT_EQ(total("none", device, "adamw") - total("disk", device, "adamw"), state - tiles) << device;
    EXPECT_EQ(total("none", device, "paged_adamw"), total("none", device, "adamw")) << device;
    EXPECT_EQ(total("none", device, "sgd"), total("disk", device, "sgd")) << device;
  }
  EXPECT_EQ(total("none", "gpu", "adamw") - total("cpu", "gpu", "adamw"), state - tiles);
  EXPECT_EQ(total("none", "cpu", "adamw"), total("cpu", "cpu", "adamw"));
}

// Products read copies in bf16, whole on every rank: the float32 values, of which nobody needs all, are divided as the state is.
TEST(EstimateTest, StageOneDividesValuesThatAreReadInCopies) {
  recipe::JobSpec spec;
  spec.method.kind = "full";
  spec.parallel = {.ranks = 4, .zero = 1};
  const auto trained = static_cast<double>(ParameterCount(kLlama7B));
  const auto held = [&](bool bf16) {
    return static_cast<double>(EstimateMemory(kLlama7B, spec, bf16, {})[1].bytes) / trained;
  };
  EXPECT_NEAR(held(true), 2 + (4 + 4 + 8) / 4.0, 1e-3);
  EXPECT_NEAR(held(false), 4 + (4 + 8) / 4.0, 1e-3);
  spec.parallel.zero = 0;
  EXPECT_NEAR(held(true), 2 + 4 + 4 + 8, 1e-3);
}

// Then they rest with the optimizer's state, which leaves copies and a tile of values; where products read the values themselves they stay.
TEST(EstimateTest, ValuesThatAreReadInCopiesRestWithTheState) {
  recipe::JobSpec spec;
  spec.method.kind = "full";
  const auto moved = [&](bool bf16, const char* device) {
    const auto total = [&](const char* tier) {
      spec.parallel = {.ranks = 4, .zero = 2, .offload = {.optimizer = tier}};
      spec.resources.device = device;
      return TotalBytes(EstimateMemory(kLlama7B, spec, bf16, {}));
    };
    return static_cast<double>(total("none") - total("disk")) /
           static_cast<double>(ParameterCount(kLlama7B)) * 4;
  };
  for (const char* device : {"cpu", "gpu"}) {
    EXPECT_NEAR(moved(true, device), 12, 0.02) << device;
    EXPECT_NEAR(moved(false, device), 8, 0.02) << device;
    EXPECT_EQ(BytesBesideDevice(kLlama7B, spec, /*bf16=*/true).disk, 3 * ParameterCount(kLlama7B));
    EXPECT_EQ(BytesBesideDevice(kLlama7B, spec, /*bf16=*/false).disk, 2 * ParameterCount(kLlama7B));
  }
}

TEST(EstimateTest, CheckpointingAndShorterSamplesNeedLess) {
  recipe::JobSpec spec;
  const int64_t packed = TotalBytes(EstimateMemory(kLlama7B, spec, true, {256, 0}));
  EXPECT_LT(TotalBytes(EstimateMemory(kLlama7B, spec, true, {256, 1000})), packed);  // Less than a row holds.
  spec.train.packing = false;
  const int64_t with = TotalBytes(EstimateMemory(kLlama7B, spec, true, {}));
  EXPECT_EQ(packed, with);  // A row of short samples is as long as one of the longest.
  EXPECT_LT(TotalBytes(EstimateMemory(kLlama7B, spec, true, {256, 0})), with);
  spec.train.activation_checkpointing = false;
  const int64_t without = TotalBytes(EstimateMemory(kLlama7B, spec, true, {}));
  EXPECT_GT(without, with);
  spec.train.activation_checkpointing = true;
  spec.train.checkpointed_blocks = 16;
  const int64_t half = TotalBytes(EstimateMemory(kLlama7B, spec, true, {}));
  EXPECT_GT(half, with);
  EXPECT_LT(half, without);
  spec.train.checkpointed_blocks = 100;  // More than there are.
  EXPECT_EQ(TotalBytes(EstimateMemory(kLlama7B, spec, true, {})), with);
}

TEST(EstimateTest, RecomputationCostsWorkByTheBlock) {
  recipe::JobSpec spec;
  const double all = FlopsPerToken(kLlama7B, spec);
  spec.train.checkpointed_blocks = 16;
  const double half = FlopsPerToken(kLlama7B, spec);
  spec.train.activation_checkpointing = false;
  const double none = FlopsPerToken(kLlama7B, spec);
  EXPECT_NEAR(all - half, half - none, 1e-6 * all);
  EXPECT_GT(half, none);
}

TEST(EstimateTest, LeavesOfTheSumAddOneBufferALevel) {
  recipe::JobSpec spec;
  const int64_t alone = TotalBytes(EstimateMemory(kLlama7B, spec, true, {}));
  spec.parallel.max_ranks = 4;
  const int64_t buffers = 2 * 4 * TrainableParameters(kLlama7B, spec.method);
  EXPECT_EQ(TotalBytes(EstimateMemory(kLlama7B, spec, true, {})) - alone, buffers + (int64_t{16} << 20));
}

}  // namespace
}  // namespace ft::plan
