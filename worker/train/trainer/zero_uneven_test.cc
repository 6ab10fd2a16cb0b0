// Data that does not come out even, where ranks exchange within passes: a rank without a micro-batch, and one whose micro-batch carries no
// loss, takes part in every exchange, and the job ends with the bits of one rank. Ranks are threads; a rank that is missing would end the
// exchange of the others in an error after its timeout.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/device/staging.h"
#include "worker/model/run/small_model_fixture.h"
#include "worker/train/shard/unit_exchange.h"
#include "worker/train/trainer/trainer.h"

namespace ft::train {
namespace {

using ::ft::testing::TempDir;

struct Data {
  int train = 12;
  int holdout = 0;
  int without_loss = 0;  // Every so-many-th sample carries none; 0 = all do.
};

std::string WriteCache(const TempDir& dir, const Data& data) {
  data::TokenCacheWriter writer;
  for (int32_t sample = 0; sample < data.train + data.holdout; ++sample) {
    std::vector<int32_t> ids;
    for (int32_t t = 0; t < 4 + sample % 5; ++t) ids.push_back((sample * 11 + t * t * 5 + 2) % 37);
    const bool silent = data.without_loss > 0 && sample % data.without_loss == 1;
    const std::vector<uint8_t> loss(ids.size(), silent ? 0 : 1);
    sample < data.train ? writer.AddTrain(ids, loss) : writer.AddHoldout(ids, loss);
  }
  const StatusOr<std::string> digest = writer.Write(dir.path());
  EXPECT_TRUE(digest.ok()) << digest.status();
  return dir / StrCat(*digest, ".ftt");
}

struct Ending {
  torch::Tensor weights;
  std::vector<double> losses;
  StatusOr<records::Eval> eval = absl::UnknownError("did not come to it");
};

void Train(const recipe::JobSpec& spec, const data::TokenCache& cache, comm::Comm& comm, Ending& end) {
  at::set_num_threads(1);
  shard::UnitExchange exchange(comm);
  const auto model =
      run::LanguageModel::Load(run::SmallConfig(), run::RandomWeights(run::SmallConfig()),
                               {.dtype = spec.model.dtype,
                                .method = spec.method.kind,
                                .device = TestDevice(),
                                .division = shard::DivisionOf(*recipe::Sharding::Of(spec), exchange)});
  ASSERT_TRUE(model.ok()) << model.status();
  Trainer trainer(spec, cache, **model, comm, [](std::string_view) {});
  for (int64_t step = 1; step <= trainer.total_steps(); ++step) {
    const StatusOr<StepOutcome> outcome = trainer.RunStep(step);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    end.losses.push_back(outcome->record.loss);
  }
  std::vector<torch::Tensor> values;
  shard::TrainedState& state = trainer.state();
  for (int i = 0; i < state.store().size(); ++i) {
    const StatusOr<torch::Tensor> whole = state.GatherValue(i);
    ASSERT_TRUE(whole.ok()) << whole.status();
    values.push_back(device::Download(*whole).reshape({-1}));
  }
  end.weights = at::cat(values);
  end.eval = trainer.EvaluateHoldout(trainer.total_steps());
}

class ZeroUneven : public ::testing::Test {
 protected:
  ZeroUneven() {
    spec_.model.dtype = "fp32";
    spec_.method = {.kind = "full", .dropout = 0};
    spec_.train.packing = false;
    spec_.train.micro_batch = 1;
    spec_.train.accumulation = 4;
    spec_.train.epochs = 1;
    spec_.train.optimizer.lr = 0.005;
    spec_.parallel = {.ranks = 1, .max_ranks = 4};
  }

  // Two and four ranks, at stages 0, 2 and 3, end as one does. Answers its losses.
  std::vector<double> EndsAsOne(const Data& data) {
    const TempDir dir;
    const auto cache = data::TokenCache::Open(WriteCache(dir, data), /*verify=*/false);
    EXPECT_TRUE(cache.ok()) << cache.status();
    if (!cache.ok()) return {};
    Ending one;
    Train(spec_, *cache, *comm::SingleRankComm(), one);
    if (!one.weights.defined()) return {};
    for (const int ranks : {2, 4}) {
      for (const int zero : {0, 2, 3}) {
        SCOPED_TRACE(StrCat("zero ", zero, " on ", ranks, " ranks"));
        recipe::JobSpec spec = spec_;
        spec.parallel.zero = zero;
        std::vector<Ending> endings(static_cast<size_t>(ranks));
        ::ft::testing::SpawnRanks(ranks, [&](comm::Comm& comm) {
          Train(spec, *cache, comm, endings[static_cast<size_t>(comm.rank())]);
        });
        for (const Ending& end : endings) {
          EXPECT_TRUE(end.weights.defined() && torch::equal(end.weights, one.weights));
          EXPECT_EQ(end.losses, one.losses);
          EXPECT_EQ(end.eval.status().code(), one.eval.status().code()) << end.eval.status();
          if (end.eval.ok() && one.eval.ok()) {
            EXPECT_EQ(end.eval->loss, one.eval->loss);
          }
        }
      }
    }
    expected_eval_ = one.eval.status();
    return one.losses;
  }

  recipe::JobSpec spec_;
  Status expected_eval_;  // What became of one rank's evaluation.
};

TEST_F(ZeroUneven, ALastStepOfOneMicroBatch) { EXPECT_EQ(EndsAsOne({.train = 9}).size(), 3u); }

TEST_F(ZeroUneven, ALastRoundOfFiveOfEight) {
  spec_.parallel.max_ranks = 8;
  spec_.train.accumulation = 13;
  EXPECT_EQ(EndsAsOne({.train = 26}).size(), 2u);
}

TEST_F(ZeroUneven, AMicroBatchWithoutTargets) {
  EndsAsOne({.without_loss = 3});
  // There it has no pass at all.
  spec_.train.loss = "microbatch_mean";
  EndsAsOne({.without_loss = 3});
}

TEST_F(ZeroUneven, FiveHeldOutSamplesOfWhichOneHasNoLabel) {
  EndsAsOne({.holdout = 5, .without_loss = 13});  // Samples 1 and 14.
  EXPECT_TRUE(expected_eval_.ok()) << expected_eval_;
}

// The order of adapters by default, where ranks meet once a step, and at stage 3 in every pass.
TEST_F(ZeroUneven, LeavesOfUnlikeLength) {
  spec_.parallel.exchange = "step";
  spec_.train.accumulation = 6;
  EXPECT_EQ(EndsAsOne({.train = 15, .without_loss = 4}).size(), 3u);
}

TEST_F(ZeroUneven, NoHeldOutSample) {
  EndsAsOne({.holdout = 0});
  EXPECT_TRUE(absl::IsNotFound(expected_eval_)) << expected_eval_;
}

}  // namespace
}  // namespace ft::train
