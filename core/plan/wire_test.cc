#include "core/plan/wire.h"

#include <gtest/gtest.h>

#include "core/plan/llama_7b_fixture.h"
#include "core/plan/llama_tensors_fixture.h"

namespace ft::plan {
namespace {

recipe::Sharding Meaning(int zero, const char* exchange, int ranks) {
  recipe::JobSpec spec;
  spec.parallel = {.ranks = ranks, .zero = zero, .exchange = exchange};
  const StatusOr<recipe::Sharding> sharding = recipe::Sharding::Of(spec);
  EXPECT_TRUE(sharding.ok()) << sharding.status();
  return *sharding;
}

// Of all ranks together: what each receives differs by granules.
WireBytes OfAll(const SliceTable& table, const recipe::Sharding& sharding, int ranks, StepShape step) {
  WireBytes all;
  for (int rank = 0; rank < ranks; ++rank) {
    const WireBytes wire = WireOfStep(table, sharding, {rank, ranks}, step);
    all.all_gather += wire.all_gather;
    all.tree_sum += wire.tree_sum;
    all.reduce_scatter += wire.reduce_scatter;
    EXPECT_EQ(wire.broadcast, 0);
  }
  return all;
}

// Formulas of the literature: t weights over N ranks are 4 t (N - 1) bytes of gradients to the owners, and as many of weights back.
TEST(WireTest, StagesMoveWhatTheFormulasSay) {
  for (const ModelShape& shape : {kLlama7B, kLlama70B}) {
    const SliceTable table = SliceTable::Of(FullTensors(shape));
    const int64_t once = 4 * table.elements() * 7;
    const WireBytes zero0 = OfAll(table, Meaning(0, "auto", 8), 8, {32});
    EXPECT_EQ(zero0.tree_sum, 2 * once);
    EXPECT_EQ(zero0.reduce_scatter, 0);
    EXPECT_EQ(zero0.all_gather, 8 * 7 * (8 + 16));  // Losses and what is agreed on.
    const WireBytes zero1 = OfAll(table, Meaning(1, "auto", 8), 8, {32});
    EXPECT_EQ(zero1.tree_sum, 0);
    EXPECT_EQ(zero1.reduce_scatter, once);
    const int64_t granules = (table.elements() + 1023) / 1024;  // Norms have whole ones too.
    const int64_t computed = 7 * (4 * table.elements() / 256 + 2 * 32 * granules);
    EXPECT_EQ(zero1.all_gather, once + computed + 8 * 7 * (8 + 16));
    const WireBytes without =
        OfAll(table, Meaning(1, "auto", 8), 8, {.micro_batches = 32, .digested = false});
    EXPECT_EQ(without.all_gather, zero1.all_gather - 7 * 2 * 32 * granules);
    const WireBytes zero2 = OfAll(table, Meaning(2, "micro_batch", 8), 8, {32});
    EXPECT_EQ(zero2.reduce_scatter, 4 * once);                      // Once a round.
    EXPECT_EQ(zero2.all_gather, zero1.all_gather + 8 * 7 * 3 * 8);  // Losses of four rounds.
  }
}

TEST(WireTest, ARankWithoutAMicroBatchSendsNone) {
  const SliceTable table = SliceTable::Of(FullTensors(kLlama7B));
  const Slices slices(table, 4);
  const auto received = [&](int rank, int64_t micro_batches) {
    return WireOfStep(table, Meaning(2, "micro_batch", 4), {rank, 4}, {micro_batches}).reduce_scatter;
  };
  for (int rank = 0; rank < 4; ++rank) {
    const int64_t owned = 4 * Share::Of(slices, {rank, 4}).elements();
    EXPECT_EQ(received(rank, 4), 3 * owned);
    EXPECT_EQ(received(rank, 6), (rank < 2 ? 3 + 1 : 3 + 2) * owned);  // Ranks 0 and 1 have the last two.
  }
}

TEST(WireTest, OneRankReceivesNothing) {
  const SliceTable table = SliceTable::Of(FullTensors(kLlama7B));
  EXPECT_EQ(WireOfStep(table, Meaning(2, "micro_batch", 4), {0, 1}, {6}), WireBytes());
}

TEST(WireTest, StateIsDividedByTheStage) {
  const SliceTable table = SliceTable::Of(FullTensors(kLlama7B));
  const auto state = [&](int zero, const char* exchange) {
    return StateOf(table, Meaning(zero, exchange, 8), {3, 8}, StateArraysOf("adamw"));
  };
  const int64_t whole = 4 * table.elements();
  EXPECT_EQ(state(0, "micro_batch"), (StateBytes{whole, whole, 2 * whole}));
  const int64_t owned = 4 * Share::Of(Slices(table, 8), {3, 8}).elements();
  EXPECT_NEAR(static_cast<double>(owned), static_cast<double>(whole) / 8, 4.0 * kSliceGranule * 34);
  EXPECT_EQ(state(1, "auto"), (StateBytes{whole, whole, 2 * owned}));
  EXPECT_EQ(state(2, "auto"), (StateBytes{whole, whole, 2 * owned}));
  EXPECT_EQ(state(2, "micro_batch"), (StateBytes{whole, owned, 2 * owned}));
}

TEST(WireTest, StateIsThatOfTheOptimizer) {
  const SliceTable table = SliceTable::Of({{"large", {4096, 10}}, {"small", {300}}});
  const auto moments = [&](const char* kind) {
    return StateOf(table, Meaning(0, "auto", 1), {0, 1}, StateArraysOf(kind)).moments;
  };
  EXPECT_EQ(moments("adamw"), 8 * (40960 + 512));  // Tensors begin at granules.
  EXPECT_EQ(moments("paged_adamw"), moments("adamw"));
  EXPECT_EQ(moments("adamw_8bit"), 2 * 40960 + 2 * 4 * 160 + 8 * 512);
  EXPECT_EQ(moments("sgd"), 0);
}

}  // namespace
}  // namespace ft::plan
