#include "core/recipe/sharding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/recipe/parse.h"

namespace ft::recipe {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Sharding Of(ParallelSpec parallel) {
  JobSpec spec;
  spec.parallel = std::move(parallel);
  const StatusOr<Sharding> sharding = Sharding::Of(spec);
  EXPECT_TRUE(sharding.ok()) << sharding.status();
  return sharding.ok() ? *sharding : Sharding();
}

TEST(ShardingTest, StagesSliceStatesAndTheOrderSlicesGradients) {
  for (const int zero : {1, 2, 3}) {
    const Sharding step = Of({.ranks = 4, .zero = zero});
    EXPECT_EQ(step.slices, 4);
    EXPECT_EQ(step.order, SumOrder::kStep);
    EXPECT_TRUE(step.states_sliced);
    EXPECT_FALSE(step.gradients_sliced);
    const Sharding by_micro_batch = Of({.ranks = 2, .max_ranks = 8, .zero = zero, .exchange = "micro_batch"});
    EXPECT_EQ(by_micro_batch.slices, 8);
    EXPECT_EQ(by_micro_batch.order, SumOrder::kMicroBatch);
    EXPECT_TRUE(by_micro_batch.states_sliced && by_micro_batch.gradients_sliced);
    EXPECT_EQ(step.weights_sliced, zero == 3);
    EXPECT_EQ(by_micro_batch.weights_sliced, zero == 3);
  }
  const Sharding none = Of({.ranks = 4, .exchange = "micro_batch"});
  EXPECT_FALSE(none.states_sliced || none.gradients_sliced);
  EXPECT_THAT(none.remarks, IsEmpty());
}

TEST(ShardingTest, OfFullFineTuningsThatRanksShareAutoGoesByMicroBatchesAtEveryStage) {
  JobSpec spec;
  spec.method.kind = "full";
  for (const int zero : {0, 1, 2, 3}) {
    spec.parallel = {.ranks = 1, .max_ranks = 4, .zero = zero};
    EXPECT_EQ(Sharding::Of(spec)->order, SumOrder::kMicroBatch);
    EXPECT_EQ(Sharding::Of(spec)->gradients_sliced, zero > 0);
    EXPECT_THAT(Sharding::Of(spec)->remarks, IsEmpty());
    spec.parallel.exchange = "step";
    EXPECT_EQ(Sharding::Of(spec)->order, SumOrder::kStep);
  }
  spec.parallel = {.zero = 2};  // Of one rank alone both are sums one after another.
  EXPECT_EQ(Sharding::Of(spec)->order, SumOrder::kStep);
  for (const char* adapters : {"lora", "qlora", "int8_lora"}) {
    spec.method.kind = adapters;
    spec.parallel = {.ranks = 4, .zero = 2};
    EXPECT_EQ(Sharding::Of(spec)->order, SumOrder::kStep);
  }
}

TEST(ShardingTest, OneRankIsAcceptedAtEveryStageAndToldWhatItIs) {
  for (const int zero : {1, 2, 3}) {
    const Sharding alone = Of({.zero = zero});
    EXPECT_FALSE(alone.states_sliced);
    EXPECT_THAT(alone.remarks, ElementsAre(HasSubstr("with one rank equals zero: 0")));
  }
  // It may come to run on four.
  EXPECT_TRUE(Of({.ranks = 1, .max_ranks = 4, .zero = 1}).states_sliced);
}

TEST(ShardingTest, AWholeGradientAtStagesTwoAndThreeIsSaid) {
  for (const int zero : {2, 3}) {
    EXPECT_THAT(Of({.ranks = 2, .zero = zero}).remarks,
                ElementsAre(HasSubstr(StrCat("zero: ", zero, " keeps a whole gradient on each rank"))));
  }
  EXPECT_THAT(Of({.ranks = 2, .zero = 2, .exchange = "micro_batch"}).remarks, IsEmpty());
  EXPECT_THAT(Of({.ranks = 2, .zero = 1}).remarks, IsEmpty());
}

// Of what is trained only at stage 3.
TEST(ShardingTest, WeightsMayRestElsewhereOnAnyDevice) {
  JobSpec spec;
  for (const char* device : {"cpu", "gpu", "auto"}) {
    spec.resources.device = device;
    for (const char* method : {"qlora", "int8_lora", "lora", "full"}) {
      spec.method.kind = method;
      for (const char* tier : {"cpu", "disk"}) {
        for (const int zero : {0, 1, 2, 3}) {
          spec.parallel = {.ranks = 2, .zero = zero, .offload = {.parameters = tier}};
          EXPECT_EQ(Sharding::Of(spec).ok(), zero == 3 || spec.method.kind != "full")
              << device << method << tier << zero;
        }
      }
    }
  }
}

TEST(ShardingTest, OneRankWhoseUnitsComeAndGoIsNoStageZero) {
  EXPECT_THAT(Of({.zero = 3, .offload = {.parameters = "cpu"}}).remarks, IsEmpty());
  EXPECT_THAT(Of({.zero = 2, .offload = {.parameters = "cpu"}}).remarks,
              ElementsAre(HasSubstr("with one rank equals zero: 0")));
}

TEST(ShardingTest, TheOptimizersStateMayRestElsewhereOnAnyDeviceAtAnyStage) {
  JobSpec spec;
  for (const char* device : {"cpu", "gpu", "auto"}) {
    spec.resources.device = device;
    for (const char* tier : {"cpu", "disk"}) {
      for (const int zero : {0, 1, 2, 3}) {
        spec.parallel = {.ranks = 2, .zero = zero, .offload = {.optimizer = tier}};
        EXPECT_TRUE(Sharding::Of(spec).ok()) << device << tier << zero;
      }
    }
  }
}

TEST(ShardingTest, AFolderIsForWhatRestsOnDisk) {
  JobSpec spec;
  spec.parallel.offload = {.parameters = "disk", .path = "/fast"};
  EXPECT_TRUE(Sharding::Of(spec).ok());
  spec.parallel.offload = {.optimizer = "disk", .path = "/fast"};
  EXPECT_TRUE(Sharding::Of(spec).ok());
  spec.parallel.offload.path = "fast";
  EXPECT_EQ(Message(Sharding::Of(spec).status()),
            "parallel.offload.path: 'fast' is a folder of whichever node trains: write it from the root (/)");
  spec.parallel.offload = {.optimizer = "cpu", .path = "/fast"};
  EXPECT_EQ(Message(Sharding::Of(spec).status()),
            "parallel.offload.path: nothing rests on disk: set parallel.offload.optimizer or "
            "parallel.offload.parameters to disk, or take it out");
}

TEST(ShardingTest, OnACpuNothingIsOffTheDevice) {
  JobSpec spec;
  spec.resources.device = "cpu";
  spec.parallel = {.ranks = 2, .zero = 2, .offload = {.optimizer = "cpu"}};
  const StatusOr<Sharding> two = Sharding::Of(spec);
  ASSERT_TRUE(two.ok()) << two.status();
  EXPECT_THAT(two->remarks.back(), HasSubstr("a CPU's memory is where all of it lies"));
  spec.parallel.offload.parameters = "cpu";
  EXPECT_TRUE(Sharding::Of(spec).ok());  // A frozen base may be moved at any stage.
  spec.method.kind = "full";
  EXPECT_THAT(std::string(Message(Sharding::Of(spec).status())),
              HasSubstr("parallel.offload.parameters needs zero: 3, or a base that is not trained"));
  spec.parallel.zero = 3;
  EXPECT_TRUE(Sharding::Of(spec)->weights_sliced);
  spec.parallel.offload.parameters = "disk";
  EXPECT_TRUE(Sharding::Of(spec).ok());
}

TEST(ShardingTest, ADeepspeedNameIsTheSettingsThatItStandsFor) {
  const auto parse = [](const char* parallel) {
    return ParseJob(StrCat("model: m\ndata: d\nparallel: ", parallel, "\n"), "job.yaml");
  };
  const auto spec = parse("{ranks: 2, deepspeed: deepspeed_zero3_offload}");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->parallel.zero, 3);
  EXPECT_EQ(spec->parallel.offload.optimizer, "cpu");
  EXPECT_EQ(spec->parallel.offload.parameters, "cpu");
  EXPECT_EQ(spec->parallel.deepspeed, "");  // A stored job says what it means.
  EXPECT_TRUE(Sharding::Of(*spec)->weights_sliced);
  for (const auto& [name, divides_weights] :
       {std::pair{"deepspeed_zero2", false}, {"deepspeed_zero2_offload", false}, {"deepspeed_zero3", true}}) {
    const auto named = parse(StrCat("{ranks: 2, deepspeed: ", name, "}").c_str());
    ASSERT_TRUE(named.ok()) << named.status();
    EXPECT_EQ(Sharding::Of(*named)->weights_sliced, divides_weights) << name;
  }
  EXPECT_THAT(std::string(Message(parse("{deepspeed: ds_config.json}").status())),
              HasSubstr("parallel.deepspeed: 'ds_config.json' is none of: deepspeed_zero1, deepspeed_zero2, "
                        "deepspeed_zero2_offload, deepspeed_zero3, deepspeed_zero3_offload (a file of "
                        "DeepSpeed's own is read by ftctl"));
  // What every job says that was shown stands in nobody's way.
  EXPECT_EQ(parse("{zero: 0, offload: {optimizer: none}, deepspeed: deepspeed_zero2}")->parallel.zero, 2);
  EXPECT_THAT(std::string(Message(parse("{deepspeed: deepspeed_zero1, zero: 1}").status())),
              HasSubstr("parallel.deepspeed: stands beside zero or offload"));
}

TEST(ShardingTest, WordsAndNumbersOutOfRangeAreRefusedWithWhatIsAllowed) {
  const auto refusal = [](const char* parallel) {
    return std::string(
        Message(ParseJob(StrCat("model: m\ndata: d\nparallel: ", parallel, "\n"), "job.yaml").status()));
  };
  EXPECT_THAT(refusal("{zero: 4}"), HasSubstr("job.yaml:3: parallel.zero: 4 is not between 0 and 3"));
  EXPECT_THAT(refusal("{exchange: often}"),
              HasSubstr("parallel.exchange: 'often' is none of: auto, step, micro_batch"));
  EXPECT_THAT(refusal("{min_ranks: 4, max_ranks: 2}"),
              HasSubstr("parallel.min_ranks: min_ranks(4) must be a power of two, at most max_ranks(2)"));
  EXPECT_THAT(refusal("{min_ranks: 3, max_ranks: 4}"), HasSubstr("min_ranks(3) must be a power of two"));
  EXPECT_EQ(refusal("{min_ranks: 1, ranks: 2, max_ranks: 4}"), "");
  EXPECT_THAT(refusal("{ranks: 2, max_ranks: 3}"),
              HasSubstr("ranks(2) and max_ranks(3) must be powers of two"));
}

}  // namespace
}  // namespace ft::recipe
