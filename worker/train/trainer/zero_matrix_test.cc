// One result on any number of ranks: methods x types x ZeRO stages x ranks x orders x transports, 20 steps of 6 micro-batches over rounds of 4, so
// that last rounds are short. Ranks are threads. What they hold, what they exchange and what goes to a tier and back are the plan's bytes, to the byte.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <tuple>

#include "core/base/sha256.h"
#include "core/plan/weight_rest.h"
#include "core/recipe/state_tier.h"
#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/device/staging.h"
#include "worker/model/run/small_model_fixture.h"
#include "worker/train/comm/gloo.h"
#include "worker/train/offload/disk_tier.h"
#include "worker/train/offload/disk_weights.h"
#include "worker/train/offload/host_tier.h"
#include "worker/train/offload/host_weights.h"
#include "worker/train/shard/unit_exchange.h"
#include "worker/train/trainer/trainer.h"

namespace ft::train {
namespace {

using ::ft::testing::TempDir;

// LibTorch's flight recorder is one for all Gloo groups of a process, and groups of several threads run over each other in it.
[[maybe_unused]] const int kNoFlightRecorder = ::setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/1);

constexpr int kSteps = 20;
constexpr int64_t kMicroBatches = 6;
constexpr int kMostRanks = 4;
constexpr int64_t kLedgerEvery = 3;

// 23 samples of 4 to 10 tokens.
std::string WriteCache(const TempDir& dir) {
  data::TokenCacheWriter writer;
  for (int32_t sample = 0; sample < 23; ++sample) {
    std::vector<int32_t> ids;
    for (int32_t t = 0; t < 4 + sample % 7; ++t) ids.push_back((sample * 7 + t * t * 3 + 1) % 37);
    writer.AddTrain(ids, std::vector<uint8_t>(ids.size(), 1));
  }
  const StatusOr<std::string> digest = writer.Write(dir.path());
  EXPECT_TRUE(digest.ok()) << digest.status();
  return dir / StrCat(*digest, ".ftt");
}

struct Cell {
  std::string method = "full";
  int zero = 0;
  std::string exchange = "auto";
  int ranks = 1;
  std::string optimizer = "adamw";
  std::string dtype = "fp32";
  std::string tier = "";     // Where the optimizer's state rests: nothing = with the weights.
  std::string weights = "";  // Where weights rest that no pass reads: nothing = where passes compute.
  int most_ranks = kMostRanks;
};

// Tiles that cut tensors of so small a model, and hold several.
constexpr int64_t kTileWeights = 16 * plan::kGranule;

std::unique_ptr<offload::Tier> TierOf(const Cell& cell, const plan::StateTiles& tiles, const TempDir& dir) {
  if (cell.tier.empty()) return nullptr;
  if (cell.tier == "host") return offload::MakeHostTier(tiles, TestDevice());
  StatusOr<offload::OpenedTileFile> opened = offload::OpenTileFile(dir.path(), tiles.bytes());
  EXPECT_TRUE(opened.ok()) << opened.status();
  return offload::MakeDiskTier(tiles, std::move(opened->file), {.pinned = !TestDevice().is_cpu()});
}

std::unique_ptr<params::WeightTier> WeightsOn(const std::string& tier, const TempDir& dir) {
  if (tier.empty()) return nullptr;
  if (tier == "host") return offload::MakeHostWeights(TestDevice());
  const auto open = [&dir](int64_t bytes, const std::string& what) {
    return offload::OpenTileFile(dir.path(), bytes, what);
  };
  return offload::MakeDiskWeights(open, {.pinned = !TestDevice().is_cpu()});
}

// Its MLP has more than the 4,096 weights from which moments have 8 bits where they do.
model::DecoderConfig ConfigOf(const Cell& cell) {
  model::DecoderConfig config = run::SmallConfig();
  if (cell.optimizer == "adamw_8bit") config.intermediate = 200;
  return config;
}

recipe::JobSpec JobOf(const Cell& cell) {
  recipe::JobSpec spec;
  spec.model.dtype = cell.dtype;
  spec.method = {.kind = cell.method, .rank = 4, .alpha = 8, .dropout = cell.method == "full" ? 0 : 0.1};
  spec.train.packing = false;
  spec.train.micro_batch = 1;
  spec.train.accumulation = kMicroBatches;
  spec.train.epochs = 1000;
  spec.train.max_steps = kSteps;
  spec.train.ledger_every = kLedgerEvery;
  spec.train.optimizer.kind = cell.optimizer;
  spec.train.optimizer.lr = 0.005;
  spec.train.optimizer.weight_decay = 0.01;
  spec.parallel = {.ranks = 1, .max_ranks = cell.most_ranks, .zero = cell.zero, .exchange = cell.exchange};
  if (!cell.tier.empty()) spec.parallel.offload.optimizer = cell.tier == "host" ? "cpu" : cell.tier;
  return spec;
}

// What a run ends with.
struct Ending {
  std::string weights;  // SHA-256.
  std::vector<ledger::LedgerEntry> ledger;
  std::vector<double> losses;
};

// SHA-256 over all values, wherever they are.
std::string DigestOfValues(shard::TrainedState& state) {
  Sha256 sha256;
  for (int i = 0; i < state.store().size(); ++i) {
    const StatusOr<torch::Tensor> whole = state.GatherValue(i);
    EXPECT_TRUE(whole.ok()) << whole.status();
    if (!whole.ok()) return "";
    const torch::Tensor host = device::Download(*whole);
    const std::span<std::byte> bytes = device::HostBytes(host);
    sha256.Update(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  return Hex(sha256.Finish());
}

// What a rank keeps of the frozen base where it computes and on its tier, and at most of units that are whole while they are used: the two
// neighbours in a pass that are largest together.
void CheckUnits(const run::LanguageModel& model, const params::WeightTier* tier,
                const recipe::Sharding& sharding, plan::RankOf who) {
  const params::SharedUnits& units = *model.shared_units();
  const plan::SliceTable& table = model.store().table();
  const plan::PassShape shape = model.runner().shape();
  const bool divided = model.needs_all_ranks();
  const std::vector<int64_t> frozen = units.frozen_bytes();
  const auto size = [&](int unit) {
    const auto at = static_cast<size_t>(unit);
    const bool comes = divided && unit < table.units();
    return (at < frozen.size() ? frozen[at] : 0) + (comes ? plan::CopyBytes(table, unit) : 0);
  };
  int64_t own = 0, most = 0, standing = 0;
  for (int unit = 0; unit < table.units() && !divided && !model.store().has_whole_values(); ++unit)
    standing += plan::CopyBytes(table, unit);
  for (const int64_t bytes : frozen) {
    const plan::Extent part = plan::OwnedBytes(bytes, sharding.slices, who);
    own += part.end - part.begin;
  }
  EXPECT_EQ(units.own_frozen_bytes(), tier == nullptr ? own : 0);
  if (tier != nullptr) {
    EXPECT_EQ(tier->bytes().held, plan::WeightsOnTier(table, sharding, {who, divided, frozen}));
  }
  const std::vector<plan::Visit> visits = plan::TrainingPass(shape);
  for (size_t i = 0; i + 1 < visits.size(); ++i)
    most = std::max(most, size(visits[i].unit) + size(visits[i + 1].unit));
  EXPECT_EQ(units.most_gathered_bytes(), most + standing);
}

// What went to the tier of values and back since `before`, of which nothing is held where they do not rest.
void CheckValues(const params::ParameterStore& store, const params::WeightTier* tier,
                 const plan::TierBytes& before, const plan::TierBytes& expected) {
  if (tier == nullptr) return;
  const plan::TierBytes& now = tier->bytes();
  const plan::TierBytes moved{now.held, now.read - before.read, now.written - before.written};
  EXPECT_EQ(moved, store.values_rest() ? expected : plan::TierBytes());
}

// Of a rank's state between two steps, where its weights are.
plan::StateBytes HeldOf(const Cell& cell, const params::ParameterStore& store,
                        const recipe::Sharding& sharding, plan::RankOf who) {
  std::span<const plan::StateArray> arrays = plan::StateArraysOf(cell.optimizer);
  if (!cell.tier.empty()) arrays = arrays.first(0);
  plan::StateBytes held = plan::StateOf(store.table(), sharding, who, arrays);
  const bool units_rest = !cell.weights.empty() && cell.zero == 3;
  if (store.values_rest()) held.values = units_rest ? 0 : plan::CopyBytes(store.table());
  return held;
}

// One rank's run. Rank 0's ledger is the ending's.
Ending Train(const Cell& cell, const data::TokenCache& cache, comm::Comm& comm) {
  at::set_num_threads(1);
  const recipe::JobSpec spec = JobOf(cell);
  const recipe::Sharding sharding = *recipe::Sharding::Of(spec);
  shard::UnitExchange exchange(comm);
  const TempDir tier_folder;
  const std::unique_ptr<params::WeightTier> weight_tier = WeightsOn(cell.weights, tier_folder);
  const std::unique_ptr<params::WeightTier> value_tier =
      WeightsOn(recipe::ValuesRestWithState(spec) ? cell.tier : "", tier_folder);
  const auto model = run::LanguageModel::Load(
      ConfigOf(cell), run::RandomWeights(ConfigOf(cell)),
      {.dtype = spec.model.dtype,
       .method = cell.method,
       .rank = 4,
       .alpha = 8,
       .dropout = spec.method.dropout,
       .device = TestDevice(),
       .division =
           shard::DivisionOf(sharding, exchange, {weight_tier.get(), cell.zero == 3, value_tier.get()})});
  Ending end;
  EXPECT_TRUE(model.ok()) << model.status();
  if (!model.ok()) return end;
  const params::ParameterStore& store = (*model)->store();
  const plan::RankOf who{comm.rank(), comm.size()};
  const std::span<const plan::StateArray> arrays = plan::StateArraysOf(cell.optimizer);
  const plan::StateTiles tiles = plan::StateTiles::OfRank(store.table(), sharding, who, arrays, kTileWeights);
  Trainer trainer(
      spec, cache, **model, comm, [](std::string_view) {}, TierOf(cell, tiles, tier_folder));
  const params::SharedUnits* units = (*model)->shared_units();
  plan::StepShape shape{.micro_batches = kMicroBatches};
  if ((*model)->needs_all_ranks()) {
    shape.pass = (*model)->runner().shape();
    shape.frozen_bytes = units->frozen_bytes();
  }
  const StateDigests::Plan digests{.every = kLedgerEvery, .total_steps = kSteps};
  for (int64_t step = 1; step <= kSteps; ++step) {
    const plan::WireBytes before = comm.wire_bytes();
    const plan::TierBytes values_before = value_tier == nullptr ? plan::TierBytes() : value_tier->bytes();
    const StatusOr<StepOutcome> outcome = trainer.RunStep(step);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    if (!outcome.ok()) return end;
    const plan::WireBytes wire = comm.wire_bytes();
    shape.digested = digests.Has(step);
    EXPECT_EQ((plan::WireBytes{.all_gather = wire.all_gather - before.all_gather,
                               .tree_sum = wire.tree_sum - before.tree_sum,
                               .reduce_scatter = wire.reduce_scatter - before.reduce_scatter,
                               .broadcast = wire.broadcast - before.broadcast}),
              plan::WireOfStep(store.table(), sharding, who, shape));
    CheckValues(store, value_tier.get(), values_before,
                plan::ValuesOnTier(store.table(), sharding, who, shape.digested));
    end.ledger.push_back(outcome->ledger);
    end.losses.push_back(outcome->record.loss);
  }
  EXPECT_EQ(trainer.state().held(), HeldOf(cell, store, sharding, who));
  EXPECT_EQ(store.values_rest(), (weight_tier != nullptr && cell.zero == 3) ||
                                     (value_tier != nullptr && plan::HasNarrowCopies(store.table())));
  EXPECT_EQ(trainer.state().tier_bytes(), cell.tier.empty() ? plan::TierBytes() : tiles.AfterSteps(kSteps));
  if (units != nullptr && units->brings_frozen()) CheckUnits(**model, weight_tier.get(), sharding, who);
  end.weights = DigestOfValues(trainer.state());
  return end;
}

using Connect = std::function<std::unique_ptr<comm::Comm>(int rank)>;

std::string NameOf(const Cell& cell) {
  return StrCat(cell.method, " ", cell.dtype, " zero ", cell.zero, " exchange ", cell.exchange, " on ",
                cell.ranks, " ranks by ", cell.optimizer, cell.tier.empty() ? "" : " on ", cell.tier,
                cell.weights.empty() ? "" : ", weights on ", cell.weights);
}

class ZeroMatrix : public ::testing::Test {
 protected:
  void SetUp() override {
    auto cache = data::TokenCache::Open(WriteCache(dir_), /*verify=*/false);
    ASSERT_TRUE(cache.ok()) << cache.status();
    cache_.emplace(*std::move(cache));
  }

  // Runs the cell and compares with the first cell of its method, order and optimizer, on every rank.
  void Check(const Cell& cell, const Connect& connect) {
    SCOPED_TRACE(NameOf(cell));
    std::vector<Ending> endings(static_cast<size_t>(cell.ranks));
    ::ft::testing::RunRanks(cell.ranks, [&](int rank) {
      const std::unique_ptr<comm::Comm> comm = connect(rank);
      if (comm != nullptr) endings[static_cast<size_t>(rank)] = Train(cell, *cache_, *comm);
    });
    const auto [first, is_new] = expected_.try_emplace(KeyOf(cell), endings[0]);
    for (const Ending& end : endings) {
      EXPECT_EQ(end.weights, first->second.weights);
      EXPECT_EQ(end.losses, first->second.losses);
    }
    EXPECT_EQ(endings[0].ledger, first->second.ledger);
  }

  void CheckInMemory(const Cell& cell) {
    auto comms = comm::InProcess(cell.ranks, {.timeout = std::chrono::seconds(60)});
    Check(cell, [&](int rank) {
      return cell.ranks == 1 ? comm::SingleRankComm() : std::move(comms[static_cast<size_t>(rank)]);
    });
  }

  void CheckOverGloo(const Cell& cell) {
    const TempDir folder;
    Check(cell, [&](int rank) -> std::unique_ptr<comm::Comm> {
      auto comm =
          comm::RendezvousOverFiles(folder.path(), {.host = "127.0.0.1", .rank = rank, .size = cell.ranks},
                                    {.timeout = std::chrono::seconds(60)});
      EXPECT_TRUE(comm.ok()) << comm.status();
      return comm.ok() ? *std::move(comm) : nullptr;
    });
  }

  // Every number of ranks at every stage.
  void CheckAll(const std::string& method, const std::string& exchange, const std::string& dtype = "fp32") {
    for (const int ranks : {1, 2, 4}) {
      for (const int zero : {0, 1, 2, 3}) CheckInMemory({method, zero, exchange, ranks, "adamw", dtype});
    }
  }

  using Key = std::tuple<std::string, std::string, std::string, int>;
  // A paged optimizer computes what the plain one does.
  static Key KeyOf(const Cell& cell) {
    return {cell.method + cell.dtype, cell.exchange,
            cell.optimizer == "paged_adamw" ? "adamw" : cell.optimizer, cell.most_ranks};
  }

  TempDir dir_;
  std::optional<data::TokenCache> cache_;
  std::map<Key, Ending> expected_;
};

TEST_F(ZeroMatrix, Qlora) {
  CheckAll("qlora", "auto");
  CheckOverGloo({"qlora", 1, "auto", 2});
  CheckOverGloo({"qlora", 3, "auto", 4});
}

TEST_F(ZeroMatrix, Int8Lora) {
  CheckInMemory({"int8_lora", 0, "auto", 1});
  CheckInMemory({"int8_lora", 3, "auto", 4});
}

TEST_F(ZeroMatrix, Lora) {
  CheckAll("lora", "auto");
  CheckAll("lora", "micro_batch");
  CheckOverGloo({"lora", 2, "auto", 4});
}

TEST_F(ZeroMatrix, FullByStep) { CheckAll("full", "step"); }

TEST_F(ZeroMatrix, FullByMicroBatch) {
  CheckAll("full", "micro_batch");
  CheckOverGloo({"full", 2, "micro_batch", 4});
  CheckOverGloo({"full", 3, "micro_batch", 2});
}

// Products read copies in two bytes: float32 values are in slices from stage 1 on.
TEST_F(ZeroMatrix, FullInBf16) { CheckAll("full", "micro_batch", "bf16"); }

TEST_F(ZeroMatrix, LoraInBf16) {
  CheckInMemory({"lora", 0, "auto", 1, "adamw", "bf16"});
  for (const int zero : {1, 3}) CheckInMemory({"lora", zero, "auto", 4, "adamw", "bf16"});
}

TEST_F(ZeroMatrix, Optimizers) {
  for (const char* optimizer : {"adamw", "paged_adamw", "adamw_8bit", "sgd"}) {
    for (const auto& [zero, ranks] :
         {std::pair{0, 1}, std::pair{0, 4}, std::pair{1, 2}, std::pair{2, 1}, std::pair{2, 4}})
      CheckInMemory({"full", zero, "micro_batch", ranks, optimizer});
  }
  const auto weights = [&](const char* optimizer) {
    return expected_.at({"fullfp32", "micro_batch", optimizer, kMostRanks}).weights;
  };
  EXPECT_NE(weights("adamw"), weights("sgd"));
}

// Wherever the optimizer's state rests, at every stage.
TEST_F(ZeroMatrix, StateOnDisk) {
  CheckInMemory({"full", 0, "micro_batch", 1});
  for (const auto& [zero, ranks] : {std::pair{0, 1}, std::pair{1, 2}, std::pair{2, 4}, std::pair{3, 2}})
    CheckInMemory({"full", zero, "micro_batch", ranks, "adamw", "fp32", "disk"});
  CheckInMemory({"full", 0, "micro_batch", 1, "adamw_8bit"});
  CheckInMemory({"full", 3, "micro_batch", 4, "adamw_8bit", "fp32", "disk"});
  CheckInMemory({"qlora", 0, "auto", 1});
  CheckInMemory({"qlora", 3, "auto", 2, "paged_adamw", "fp32", "disk"});
}

// Where products read copies, ranks' float32 values rest with it at stages 1 and 2: on one rank of a job that several may share too, beside a
// frozen base that rests, and through more than one tile. A job that only one rank may run has nothing to divide, and stage 0 neither.
TEST_F(ZeroMatrix, StateAndValuesOnDisk) {
  for (const char* optimizer : {"adamw", "adamw_8bit"})
    CheckInMemory({"full", 0, "micro_batch", 1, optimizer, "bf16"});
  for (const auto& [zero, ranks] : {std::pair{0, 2}, std::pair{1, 2}, std::pair{2, 4}, std::pair{2, 1}})
    CheckInMemory({"full", zero, "micro_batch", ranks, "adamw", "bf16", "disk"});
  CheckInMemory({"full", 2, "micro_batch", 2, "adamw_8bit", "bf16", "disk"});
  CheckOverGloo({"full", 2, "micro_batch", 2, "adamw", "bf16", "disk"});
  CheckInMemory({"lora", 0, "auto", 1, "adamw", "bf16"});
  CheckInMemory({"lora", 1, "auto", 2, "adamw", "bf16", "disk", /*weights=*/"disk"});
  for (const int zero : {0, 2}) {
    const std::string tier = zero == 0 ? "" : "disk";
    CheckInMemory({.zero = zero, .dtype = "bf16", .tier = tier, .most_ranks = 1});
  }
}

// Wherever weights rest that no pass reads: of stage 3 each rank's slices, else a frozen base. In bf16 stage 1 has copies of what is trained.
TEST_F(ZeroMatrix, WeightsOnDisk) {
  for (const char* method : {"qlora", "int8_lora", "lora"}) CheckInMemory({method, 0, "auto", 1});
  CheckInMemory({.method = "qlora", .weights = "disk"});
  CheckInMemory({.method = "int8_lora", .zero = 1, .ranks = 2, .weights = "disk"});
  CheckInMemory({.method = "lora", .zero = 3, .ranks = 2, .tier = "disk", .weights = "disk"});
  CheckInMemory({"lora", 0, "auto", 1, "adamw", "bf16"});
  CheckInMemory({.method = "lora", .zero = 1, .ranks = 2, .dtype = "bf16", .weights = "disk"});
}

// At stage 3 what is trained too, on one rank as on several; with the optimizer's state in tiles and in place.
TEST_F(ZeroMatrix, TrainedWeightsOnDisk) {
  CheckInMemory({"full", 0, "micro_batch", 1});
  CheckInMemory({.zero = 3, .exchange = "micro_batch", .ranks = 4, .tier = "disk", .weights = "disk"});
  CheckInMemory({"full", 0, "micro_batch", 1, "adamw", "bf16"});
  CheckInMemory({.zero = 3, .exchange = "micro_batch", .ranks = 2, .dtype = "bf16", .weights = "disk"});
  for (const char* method : {"full", "qlora"}) {  // Jobs that never have more than one rank.
    CheckInMemory({.method = method, .most_ranks = 1});
    CheckInMemory({.method = method, .zero = 3, .weights = "disk", .most_ranks = 1});
  }
}

// Few cells, which run on a simulated device too.
TEST_F(ZeroMatrix, SomeOfEach) {
  CheckInMemory({"full", 0, "micro_batch", 1});
  CheckInMemory({"full", 2, "micro_batch", 2});
  CheckInMemory({"qlora", 0, "auto", 2});
  CheckInMemory({"qlora", 1, "auto", 2});
  CheckInMemory({"qlora", 3, "auto", 2});
  CheckInMemory({"full", 3, "micro_batch", 2});
  CheckInMemory({"full", 0, "micro_batch", 1, "adamw_8bit"});
  CheckInMemory({"full", 2, "micro_batch", 2, "adamw_8bit"});
  CheckInMemory({"full", 2, "micro_batch", 2, "adamw", "fp32", "disk"});
  CheckInMemory({"full", 0, "micro_batch", 1, "adamw", "bf16"});
  CheckInMemory({"full", 2, "micro_batch", 2, "adamw", "bf16", "disk"});
  if (TestDevice().is_cpu()) return;
  CheckInMemory({"full", 0, "micro_batch", 1, "paged_adamw", "fp32", "host"});
  CheckInMemory({"full", 2, "micro_batch", 2, "adamw_8bit", "fp32", "host"});
  CheckInMemory({"full", 1, "micro_batch", 2, "adamw", "bf16", "host"});
  CheckInMemory({"qlora", 3, "auto", 2, "adamw", "fp32", "host"});
  CheckInMemory({.method = "qlora", .weights = "host"});
  CheckInMemory({.method = "qlora", .zero = 3, .ranks = 2, .tier = "host", .weights = "host"});
  CheckInMemory({.zero = 3, .exchange = "micro_batch", .ranks = 2, .tier = "host", .weights = "host"});
}

TEST_F(ZeroMatrix, AutoGoesByTheMethodAndTheOrdersDiffer) {
  for (const char* method : {"full", "lora"}) {
    for (const char* exchange : {"auto", "step", "micro_batch"}) CheckInMemory({method, 0, exchange, 2});
    const auto weights = [&](const char* exchange) {
      return expected_.at({StrCat(method, "fp32"), exchange, "adamw", kMostRanks}).weights;
    };
    EXPECT_NE(weights("step"), weights("micro_batch")) << method;
    EXPECT_EQ(weights("auto"), weights(method == std::string("full") ? "micro_batch" : "step")) << method;
  }
}

}  // namespace
}  // namespace ft::train
