// Ranks as threads over a small random model: what the number of ranks must not change, and what all must decide alike.
#include "worker/train/trainer/trainer.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/model/run/small_model_fixture.h"

namespace ft::train {
namespace {

using ::ft::testing::TempDir;

constexpr int32_t kPoison = 36;  // The token whose embedding a test may make infinite.

// 14 samples for training and 5 held out, of 4 to 9 tokens; sample 6 holds the poison.
std::string WriteCache(const TempDir& dir) {
  data::TokenCacheWriter writer;
  for (int32_t sample = 0; sample < 19; ++sample) {
    std::vector<int32_t> ids;
    for (int32_t t = 0; t < 4 + sample % 6; ++t) ids.push_back((sample * 7 + t * t * 3 + 1) % kPoison);
    if (sample == 6) ids[2] = kPoison;
    const std::vector<uint8_t> loss(ids.size(), 1);
    sample < 14 ? writer.AddTrain(ids, loss) : writer.AddHoldout(ids, loss);
  }
  const StatusOr<std::string> digest = writer.Write(dir.path());
  EXPECT_TRUE(digest.ok()) << digest.status();
  return dir / StrCat(*digest, ".ftt");
}

recipe::JobSpec Job(int ranks) {
  recipe::JobSpec spec;
  spec.model.dtype = "fp32";
  spec.method = {.kind = "lora", .rank = 4, .alpha = 8, .dropout = 0.1};
  spec.train.packing = false;
  spec.train.micro_batch = 2;
  spec.train.accumulation = 4 / ranks;  // Eight samples a step whatever the ranks.
  spec.train.epochs = 2;
  spec.train.optimizer.lr = 0.01;
  spec.train.shuffle = false;
  spec.parallel = {.ranks = ranks, .max_ranks = 4};
  return spec;
}

struct Ending {
  Status status;
  std::vector<records::Step> steps;
  std::vector<ledger::LedgerEntry> ledger;
  double holdout_loss = 0;
  std::map<std::string, torch::Tensor> weights;
};

// One rank's run over all steps.
void Train(const recipe::JobSpec& spec, bool poisoned, comm::Comm& comm, Ending& end) {
  at::set_num_threads(1);
  const TempDir dir;
  const auto cache = data::TokenCache::Open(WriteCache(dir), /*verify=*/false);
  model::DecoderConfig config = run::SmallConfig();
  config.tied_head = false;  // So that the poison reaches the samples that hold it only.
  run::MemorySource source = run::RandomWeights(config);
  if (poisoned) source.At("model.embed_tokens.weight")[kPoison].fill_(std::numeric_limits<float>::infinity());
  const auto model = run::LanguageModel::Load(config, source,
                                              {.dtype = spec.model.dtype,
                                               .method = "lora",
                                               .rank = 4,
                                               .alpha = 8,
                                               .dropout = 0.1,
                                               .device = TestDevice()});
  ASSERT_TRUE(cache.ok() && model.ok()) << model.status();
  Trainer trainer(spec, *cache, **model, comm, [](std::string_view) {});
  for (int64_t step = 1; step <= trainer.total_steps() && end.status.ok(); ++step) {
    StatusOr<StepOutcome> outcome = trainer.RunStep(step);
    end.status = outcome.status();
    if (!outcome.ok()) return;
    end.steps.push_back(outcome->record);
    end.ledger.push_back(outcome->ledger);
  }
  const auto eval = trainer.EvaluateHoldout(trainer.total_steps());
  ASSERT_TRUE(eval.ok()) << eval.status();
  end.holdout_loss = eval->loss;
  // The five held-out samples as a file of their own.
  data::TokenCacheWriter writer;
  for (int64_t i = cache->train_samples(); i < cache->samples(); ++i) {
    const data::TokenSample sample = cache->at(i);
    writer.AddTrain(sample.ids, sample.loss_mask);
  }
  const StatusOr<std::string> digest = writer.Write(dir.path());
  ASSERT_TRUE(digest.ok()) << digest.status();
  const auto file = data::TokenCache::Open(dir / StrCat(*digest, ".ftt"), /*verify=*/false);
  const auto of_file = trainer.EvaluateSamples(trainer.total_steps(), "file", *file);
  ASSERT_TRUE(of_file.ok()) << of_file.status();
  EXPECT_EQ(of_file->name, "file");
  EXPECT_EQ(of_file->supervised_tokens, eval->supervised_tokens);
  EXPECT_EQ(of_file->loss, eval->loss);
  const params::ParameterStore& store = (*model)->store();
  for (int i = 0; i < store.size(); ++i) end.weights[store.name(i)] = store.value(i).cpu().clone();
}

// The endings of all ranks.
std::vector<Ending> TrainOn(int ranks, const recipe::JobSpec& spec, bool poisoned = false) {
  std::vector<Ending> endings(static_cast<size_t>(ranks));
  ::ft::testing::SpawnRanks(ranks, [&](comm::Comm& comm) {
    Train(spec, poisoned, comm, endings[static_cast<size_t>(comm.rank())]);
  });
  return endings;
}

void ExpectSameWeights(const Ending& a, const Ending& b) {
  ASSERT_EQ(a.weights.size(), b.weights.size());
  for (const auto& [name, value] : a.weights) EXPECT_TRUE(torch::equal(value, b.weights.at(name))) << name;
}

// What a rank makes DATA of: a step that fails by its numbers is FAILED_PRECONDITION.
TEST(TrainerTest, OrdinaryStepWithoutSupervisedTokensIsTheDatasFault) {
  at::set_num_threads(1);
  const TempDir dir;
  data::TokenCacheWriter writer;
  for (int32_t sample = 0; sample < 4; ++sample) {
    const std::vector<int32_t> ids = {1, 2, 3 + sample};
    const std::vector<uint8_t> loss = {0, 0, 0};
    writer.AddTrain(ids, loss);
  }
  const StatusOr<std::string> digest = writer.Write(dir.path());
  ASSERT_TRUE(digest.ok()) << digest.status();
  const auto cache = data::TokenCache::Open(dir / StrCat(*digest, ".ftt"), /*verify=*/false);
  const auto model = run::LanguageModel::Load(run::SmallConfig(), run::RandomWeights(run::SmallConfig()),
                                              {.method = "lora", .rank = 2, .device = TestDevice()});
  ASSERT_TRUE(cache.ok() && model.ok()) << cache.status() << model.status();
  const auto comm = comm::SingleRankComm();
  Trainer trainer(Job(1), *cache, **model, *comm, [](std::string_view) {});
  const Status status = trainer.RunStep(1).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(Message(status).find("no token that carries loss"), std::string_view::npos);
}

TEST(TrainerTest, TheNumberOfRanksChangesNoBit) {
  const Ending one = TrainOn(1, Job(1))[0];
  ASSERT_EQ(one.steps.size(), 4u);
  for (const int ranks : {2, 4}) {
    // As submitted for so many ranks, and as submitted for one and placed on more.
    for (const recipe::JobSpec& spec : {Job(ranks), Job(1)}) {
      for (const Ending& other : TrainOn(ranks, spec)) {
        ASSERT_TRUE(other.status.ok()) << other.status;
        ExpectSameWeights(one, other);
        EXPECT_EQ(one.holdout_loss, other.holdout_loss);
        for (size_t i = 0; i < one.steps.size(); ++i) EXPECT_EQ(one.steps[i].loss, other.steps[i].loss);
      }
      EXPECT_EQ(one.ledger, TrainOn(ranks, spec)[0].ledger);
    }
  }
}

recipe::JobSpec PackedJob(int ranks) {
  recipe::JobSpec spec = Job(ranks);
  spec.train.packing = true;
  spec.train.max_length = spec.train.packed_length = 20;
  spec.train.micro_batch = 1;
  spec.train.shuffle = true;
  return spec;
}

TEST(TrainerTest, TheNumberOfRanksChangesNoBitOfAPackedRun) {
  const Ending one = TrainOn(1, PackedJob(1))[0];
  ASSERT_TRUE(one.status.ok()) << one.status;
  for (const int ranks : {2, 4}) {
    const std::vector<Ending> others = TrainOn(ranks, PackedJob(ranks));
    ExpectSameWeights(one, others.back());
    EXPECT_EQ(one.ledger, others[0].ledger);
  }
}

// All 14 samples in one step: how they are divided into rows and micro-batches decides nothing but speed.
TEST(TrainerTest, AnyDivisionOfAStepHasTheSameLossAndGradient) {
  const auto first_step = [](int64_t micro_batch, int64_t accumulation, bool packing) {
    recipe::JobSpec spec = PackedJob(1);
    spec.train.packing = packing;
    spec.train.micro_batch = micro_batch;
    spec.train.accumulation = accumulation;
    spec.train.epochs = 1;
    const Ending end = TrainOn(1, spec)[0];
    EXPECT_TRUE(end.status.ok()) << end.status;
    EXPECT_EQ(end.steps.size(), 1u);
    EXPECT_EQ(end.steps[0].samples_seen, 14);
    return end.steps[0];
  };
  const records::Step expected = first_step(14, 1, false);
  for (const records::Step& step :
       {first_step(1, 14, false), first_step(3, 5, false), first_step(8, 1, true), first_step(1, 8, true)}) {
    EXPECT_NEAR(step.loss, expected.loss, 1e-6);
    EXPECT_NEAR(step.gradient_norm, expected.gradient_norm, 1e-6 * expected.gradient_norm);
    EXPECT_EQ(step.supervised_tokens, expected.supervised_tokens);
  }
}

TEST(TrainerTest, OneRankAloneIsAPlainRunningSum) {
  recipe::JobSpec spec = Job(1);
  spec.parallel.max_ranks = 0;
  EXPECT_NE(TrainOn(1, spec)[0].ledger, TrainOn(1, Job(1))[0].ledger);
}

TEST(TrainerTest, AStepThatIsNotFiniteOnOneRankStopsAllOfThem) {
  for (const Ending& end : TrainOn(4, Job(4), /*poisoned=*/true)) {
    EXPECT_EQ(end.status.code(), absl::StatusCode::kFailedPrecondition) << end.status;
    EXPECT_THAT(std::string(Message(end.status)), ::testing::HasSubstr("step 1: "));
  }
}

TEST(TrainerTest, AStepThatIsNotFiniteIsSkippedByAllRanks) {
  recipe::JobSpec spec = Job(4);
  spec.train.on_nonfinite = "skip";
  const std::vector<Ending> endings = TrainOn(4, spec, /*poisoned=*/true);
  for (const Ending& end : endings) {
    ASSERT_TRUE(end.status.ok()) << end.status;
    EXPECT_TRUE(end.steps[0].skipped);   // Samples 0 to 7.
    EXPECT_FALSE(end.steps[1].skipped);  // 8 to 13, then 0 and 1.
    ExpectSameWeights(endings[0], end);
  }
}

recipe::JobSpec HalfJob(int ranks, double scale) {
  recipe::JobSpec spec = Job(ranks);
  spec.model.dtype = "fp16";
  spec.train.loss_scale = {.initial = scale, .growth_steps = 2};
  return spec;
}

TEST(TrainerTest, AnOverflowInFp16SkipsTheStepOnEveryRankAndHalvesTheScale) {
  const double scale = 1 << 20;  // Its gradients pass 65504.
  const Ending one = TrainOn(1, HalfJob(1, scale))[0];
  ASSERT_TRUE(one.status.ok()) << one.status;
  ASSERT_TRUE(one.steps[0].skipped);
  EXPECT_EQ(one.steps[0].loss_scale, scale);
  EXPECT_EQ(one.steps[1].loss_scale, scale / 2);
  for (const Ending& other : TrainOn(4, HalfJob(4, scale))) {
    ExpectSameWeights(one, other);
    for (size_t i = 0; i < one.steps.size(); ++i) {
      EXPECT_EQ(one.steps[i].skipped, other.steps[i].skipped);
      EXPECT_EQ(one.steps[i].loss_scale, other.steps[i].loss_scale);
    }
  }
}

TEST(TrainerTest, TheScaleGrowsAfterGoodStepsAndChangesNoGradient) {
  const Ending small = TrainOn(1, HalfJob(1, 1))[0], large = TrainOn(1, HalfJob(1, 256))[0];
  ASSERT_TRUE(small.status.ok() && large.status.ok());
  for (size_t i = 0; i < small.steps.size(); ++i) {
    EXPECT_FALSE(large.steps[i].skipped);
    EXPECT_EQ(large.steps[i].loss_scale, i < 2 ? 256 : 512);
  }
  // A power of two goes in and comes out exactly, except where the small one rounds to a subnormal.
  EXPECT_EQ(small.steps[0].gradient_norm, large.steps[0].gradient_norm);
  ExpectSameWeights(small, large);
}

TEST(TrainerTest, ALossThatIsNotFiniteIsNotBlamedOnTheScale) {
  for (const Ending& end : TrainOn(2, HalfJob(2, 256), /*poisoned=*/true)) {
    EXPECT_EQ(end.status.code(), absl::StatusCode::kFailedPrecondition) << end.status;
  }
}

// Four micro-batches of two a step, which go on over an epoch's end; the second epoch ends within the last step.
recipe::JobSpec XTunersJob() {
  recipe::JobSpec spec = Job(1);
  spec.compat = "xtuner-0.1.9";
  spec.train.loss = "microbatch_mean";
  spec.train.schedule = {.kind = "cosine", .warmup = 0, .by = "micro_batch"};
  spec.train.on_nonfinite = "skip";
  return spec;
}

TEST(XTunersHabitsTest, TheNumberOfRanksChangesNoBit) {
  const Ending one = TrainOn(1, XTunersJob())[0];
  ASSERT_TRUE(one.status.ok()) << one.status;
  ASSERT_EQ(one.steps.size(), 4u);  // 14 micro-batches.
  EXPECT_EQ(one.steps[1].samples_seen, 16);
  EXPECT_EQ(one.steps[3].samples_seen, 28);
  EXPECT_NEAR(one.steps[3].learning_rate, 0.005 * (1 + std::cos(std::numbers::pi * 13 / 14)), 1e-14);
  for (const int ranks : {2, 4}) {
    const std::vector<Ending> others = TrainOn(ranks, XTunersJob());
    for (const Ending& other : others) {
      ASSERT_TRUE(other.status.ok()) << other.status;
      ExpectSameWeights(one, other);
      for (size_t i = 0; i < one.steps.size(); ++i) EXPECT_EQ(one.steps[i].loss, other.steps[i].loss);
    }
    EXPECT_EQ(one.ledger, others[0].ledger);
  }
}

// A step of four micro-batches against each of them as a step of its own.
TEST(XTunersHabitsTest, AStepsLossIsTheMeanOfItsMicroBatchesMeans) {
  recipe::JobSpec spec = XTunersJob();
  spec.method.dropout = 0;
  spec.train.optimizer.lr = 1e-12;  // What stays of the first step does not show.
  const records::Step step = TrainOn(1, spec)[0].steps[0];
  spec.train.accumulation = 1;
  const Ending apart = TrainOn(1, spec)[0];
  double mean = 0;
  for (size_t i = 0; i < 4; ++i) mean += apart.steps[i].loss / 4;
  EXPECT_NEAR(step.loss, mean, 1e-6);
  spec.train.accumulation = 4;
  spec.train.loss = "token_mean";
  EXPECT_GT(std::abs(TrainOn(1, spec)[0].steps[0].loss - mean), 1e-4);
}

TEST(XTunersHabitsTest, ANormThatIsNoNumberEndsNothing) {
  for (const Ending& end : TrainOn(2, XTunersJob(), /*poisoned=*/true)) {
    ASSERT_TRUE(end.status.ok()) << end.status;
    EXPECT_TRUE(end.steps[0].skipped);
    EXPECT_FALSE(end.steps.back().loss == 0);
  }
}

}  // namespace
}  // namespace ft::train
