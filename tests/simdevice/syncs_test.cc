// How often the host waits for the device in a training step: what a micro-batch and a step may cost, by name, and no more.
#include <ATen/Parallel.h>

#include "gtest/gtest.h"
#include "tests/simdevice/current.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/model/run/small_model_fixture.h"
#include "worker/train/trainer/trainer.h"

namespace ft::simdevice {
namespace {

struct Waits {
  uint64_t micro_batch = 0, step = 0;
};

std::string WriteCache(const ::ft::testing::TempDir& dir) {
  data::TokenCacheWriter writer;
  for (int32_t sample = 0; sample < 24; ++sample) {
    std::vector<int32_t> ids;
    for (int32_t t = 0; t < 5 + sample % 4; ++t) ids.push_back((sample * 7 + t * t * 3 + 1) % 37);
    writer.AddTrain(ids, std::vector<uint8_t>(ids.size(), 1));
  }
  const StatusOr<std::string> digest = writer.Write(dir.path());
  EXPECT_TRUE(digest.ok()) << digest.status();
  return dir / StrCat(*digest, ".ftt");
}

// The waits of the second step, in which nothing is done for the first time.
uint64_t WaitsOfAStep(const run::ModelOptions& options, int64_t accumulation) {
  at::set_num_threads(1);
  const ::ft::testing::TempDir dir;
  const auto cache = data::TokenCache::Open(WriteCache(dir), /*verify=*/false);
  const auto model =
      run::LanguageModel::Load(run::SmallConfig(), run::RandomWeights(run::SmallConfig()), options);
  EXPECT_TRUE(cache.ok() && model.ok()) << cache.status() << model.status();
  recipe::JobSpec spec;
  spec.method.kind = options.method;
  spec.train.packing = false;
  spec.train.micro_batch = 2;
  spec.train.accumulation = accumulation;
  spec.train.epochs = 4;
  spec.train.ledger_every = 1;  // Digests at each step, full or not.
  const auto comm = comm::SingleRankComm();
  train::Trainer trainer(spec, *cache, **model, *comm, [](std::string_view) {});
  EXPECT_TRUE(trainer.RunStep(1).ok());
  Device& device = Device::At(0);
  const uint64_t before = device.work_stats().flushes;
  EXPECT_TRUE(trainer.RunStep(2).ok());
  return device.work_stats().flushes - before;
}

Waits WaitsOf(run::ModelOptions options) {
  options.device = TestDevice();
  const uint64_t one = WaitsOfAStep(options, 1), three = WaitsOfAStep(options, 3);
  return {(three - one) / 2, one - (three - one) / 2};
}

class Syncs : public ::testing::TestWithParam<const char*> {};

TEST_P(Syncs, AMicroBatchWaitsForItsLossAndAStepForNormAndLedger) {
  for (const bool checkpointing : {false, true}) {
    const Waits waits = WaitsOf(
        {.dtype = "bf16", .method = GetParam(), .rank = 4, .dropout = 0.1, .checkpointing = checkpointing});
    EXPECT_EQ(waits.micro_batch, 1u);  // The sum of the token losses.
    EXPECT_EQ(waits.step, 3u);         // Norm; digests of the gradients; digests of the weights.
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, Syncs, ::testing::Values("qlora", "lora", "full"));

// The gradients' range is looked at before they are used.
TEST(Syncs, TheLossScaleWaitsOnceMore) {
  const Waits waits = WaitsOf({.dtype = "fp16", .method = "lora", .rank = 4});
  EXPECT_EQ(waits.micro_batch, 1u);
  EXPECT_EQ(waits.step, 4u);
}

}  // namespace
}  // namespace ft::simdevice
