#include "worker/train/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/model/params/shared_units.h"
#include "worker/model/params/store_fixture.h"
#include "worker/model/weights/safetensors.h"
#include "worker/train/checkpoint/format_1_fixture.h"
#include "worker/train/offload/disk_tier.h"
#include "worker/train/offload/disk_weights.h"
#include "worker/train/shard/unit_exchange.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::unique_ptr<params::ParameterStore> Parameters(int seed) {
  torch::manual_seed(seed);
  return params::MakeStore({{"a.lora_A.weight", torch::randn({3, 5}), torch::randn({3, 5})},
                            {"a.lora_B.weight", torch::randn({7, 3}), torch::randn({7, 3})}},
                           TestDevice());
}

// Two tensors of a granule each, so that both of two slices have a file of the same size.
std::unique_ptr<params::ParameterStore> EqualSlices(int seed) {
  torch::manual_seed(seed);
  return params::MakeStore({{"a", torch::randn({32, 32}), torch::randn({32, 32})},
                            {"b", torch::randn({32, 32}), torch::randn({32, 32})}},
                           TestDevice());
}

// One rank's state that has all of it.
class Optimizing {
 public:
  explicit Optimizing(params::ParameterStore& store, const recipe::OptimizerSpec& spec = {}, int slices = 1)
      : trained_(*comm_, {.slices = slices}, store, spec) {}
  operator shard::TrainedState&() { return trained_; }  // NOLINT
  void Step(double lr) { EXPECT_TRUE(trained_.optimizer().Step(lr).ok()); }

 private:
  const std::unique_ptr<comm::Comm> comm_ = comm::SingleRankComm();
  shard::TrainedState trained_;
};

class CheckpointTest : public ::testing::Test {
 protected:
  ft::testing::TempDir dir_;
  const Identity identity_{"base", "data", "settings", "cpu"};
  optim::LossScale no_scale_;
};

TEST_F(CheckpointTest, RunThatIsResumedEqualsRunThatWentOn) {
  const auto straight_store = Parameters(1);
  Optimizing straight(*straight_store);
  for (int i = 0; i < 3; ++i) straight.Step(0.01);
  auto saved = Save({dir_.path(), 2, 3}, identity_, {straight, no_scale_});
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->path, "checkpoints/e2-s3");
  const auto resumed_store = Parameters(1);
  Optimizing resumed(*resumed_store);
  auto step = Load({dir_.path(), {{saved->path, ""}}}, identity_, {resumed, no_scale_});
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(*step, 3);
  straight.Step(0.02);
  resumed.Step(0.02);
  EXPECT_TRUE(torch::equal(straight_store->values(), resumed_store->values()));
}

TEST_F(CheckpointTest, TheLossScaleGoesOnWhereItWas) {
  const auto optimizer_store = Parameters(1);
  Optimizing optimizer(*optimizer_store);
  optim::LossScale scale({.initial = 1024, .growth_steps = 10});
  scale.NoteOverflow();
  scale.NoteGoodStep();
  auto saved = Save({dir_.path(), 1, 2}, identity_, {optimizer, scale});
  ASSERT_TRUE(saved.ok()) << saved.status();
  optim::LossScale resumed({.initial = 1024, .growth_steps = 10});
  ASSERT_TRUE(Load({dir_.path(), {{saved->path, ""}}}, identity_, {optimizer, resumed}).ok());
  EXPECT_EQ(resumed.value(), 512);
  EXPECT_EQ(resumed.good_steps(), 1);
  const auto without = Save({dir_.path(), 1, 3}, identity_, {optimizer, no_scale_});
  EXPECT_THAT(std::string(Message(
                  Load({dir_.path(), {{without->path, ""}}}, identity_, {optimizer, resumed}).status())),
              HasSubstr("has no loss scale"));
}

TEST_F(CheckpointTest, EqualStateGivesEqualBytes) {
  const auto optimizer_store = Parameters(1);
  Optimizing optimizer(*optimizer_store);
  const std::string first = Save({dir_.path(), 1, 1}, identity_, {optimizer, no_scale_})->manifest_sha256;
  EXPECT_EQ(Save({dir_.path(), 5, 1}, identity_, {optimizer, no_scale_})->manifest_sha256, first);
}

TEST_F(CheckpointTest, DamageAndOtherIdentitiesAreRefused) {
  const auto optimizer_store = Parameters(1);
  Optimizing optimizer(*optimizer_store);
  auto saved = Save({dir_.path(), 1, 1}, identity_, {optimizer, no_scale_});
  const auto message = [&](const Identity& identity, bool allow = false) {
    return std::string(
        Message(Load({dir_.path(), {{saved->path, ""}}, allow}, identity, {optimizer, no_scale_}).status()));
  };
  EXPECT_THAT(message({"other", "data", "settings", "cpu"}), HasSubstr("another base model"));
  EXPECT_THAT(message({"base", "other", "settings", "cpu"}), HasSubstr("other data"));
  EXPECT_THAT(message({"base", "data", "other", "cpu"}), HasSubstr("other training settings"));
  EXPECT_THAT(message({"base", "data", "settings", "other"}), HasSubstr("allow_numeric_change"));
  EXPECT_EQ(message({"base", "data", "settings", "other"}, true), "");
  const fs::path file = dir_.path() / saved->path / "slice-0000.safetensors";
  std::string bytes = *ReadFile(file);
  bytes.back() ^= 1;
  ASSERT_TRUE(WriteFileDurably(file, bytes).ok());
  EXPECT_THAT(message(identity_), HasSubstr("damaged"));
}

TEST_F(CheckpointTest, ManifestsWithValuesOfAnotherTypeAreRefused) {
  const auto optimizer_store = Parameters(1);
  Optimizing optimizer(*optimizer_store);
  optim::LossScale scale({.initial = 4});
  const auto saved = Save({dir_.path(), 1, 1}, identity_, {optimizer, scale});
  const fs::path file = dir_.path() / saved->path / "manifest.json";
  const nlohmann::json whole = nlohmann::json::parse(*ReadFile(file));
  for (const char* pointer :
       {"/format", "/step", "/optimizer_steps", "/identity", "/identity/data_sha256", "/files",
        "/files/slice-0000.safetensors", "/files/slice-0000.safetensors/sha256", "/layout", "/layout/slices",
        "/loss_scale", "/loss_scale/value", "/loss_scale/good_steps"}) {
    for (const nlohmann::json& other : {nlohmann::json(true), nlohmann::json::array({1}), nlohmann::json()}) {
      nlohmann::json spoiled = whole;
      spoiled.at(nlohmann::json::json_pointer(pointer)) = other;
      ASSERT_TRUE(WriteFileDurably(file, spoiled.dump()).ok());
      const auto loaded = Load({dir_.path(), {{saved->path, ""}}}, identity_, {optimizer, scale});
      EXPECT_FALSE(loaded.ok()) << pointer << " is " << other;
    }
  }
}

// Two checkpoints of a run, after steps 1 and 2, of which the newer is damaged.
class DamagedCheckpointTest : public CheckpointTest {
 protected:
  DamagedCheckpointTest() {
    for (const int64_t step : {1, 2}) {
      state_.Step(0.01);
      const StatusOr<Saved> saved = Save({dir_.path(), 1, step}, identity_, {state_, no_scale_});
      EXPECT_TRUE(saved.ok()) << saved.status();
      committed_.insert(committed_.begin(), {saved->path, saved->manifest_sha256});
      values_[step] = store_->values().clone();
    }
  }
  fs::path File(int64_t step, const char* name) const { return dir_.path() / CheckpointPath(1, step) / name; }
  void Change(const fs::path& file, const std::function<void(std::string&)>& change) {
    std::string bytes = *ReadFile(file);
    change(bytes);
    ASSERT_TRUE(WriteFileDurably(file, bytes).ok());
  }
  Status Resumed(std::vector<process::CommittedCheckpoint> newest_first) {
    remarks_.clear();
    Resume resume{.run_dir = dir_.path(), .newest_first = std::move(newest_first)};
    resume.passed_over = [&](const std::string& remark) { remarks_.push_back(remark); };
    const StatusOr<int64_t> step = Load(resume, identity_, {state_, no_scale_});
    if (step.ok()) step_ = *step;
    return step.status();
  }
  // The one before is taken, and a sentence names the file, what is wrong with it and what is taken; with none before it that is the
  // error, and nothing is changed.
  void ExpectPassedOver(const fs::path& file, std::string_view how) {
    const std::string damage = StrCat(file.string(), " ", how);
    store_->values().zero_();
    const Status alone = Resumed({committed_[0]});
    EXPECT_TRUE(absl::IsDataLoss(alone)) << alone;
    EXPECT_EQ(Message(alone), StrCat(damage, "; there is no older one"));
    EXPECT_EQ(store_->values().abs().sum().item<double>(), 0);
    ASSERT_TRUE(Resumed(committed_).ok()) << file;
    EXPECT_EQ(step_, 1);
    EXPECT_TRUE(torch::equal(store_->values(), values_[1]));
    EXPECT_THAT(remarks_, ElementsAre(StrCat(damage, "; going on from checkpoints/e1-s1 instead")));
  }

  const std::unique_ptr<params::ParameterStore> store_ = EqualSlices(1);
  Optimizing state_{*store_, {}, /*slices=*/2};
  std::vector<process::CommittedCheckpoint> committed_;  // The newest first.
  std::map<int64_t, torch::Tensor> values_;              // After each step.
  std::vector<std::string> remarks_;
  int64_t step_ = 0;
};

TEST_F(DamagedCheckpointTest, AWholeOneIsTakenWithoutARemark) {
  ASSERT_TRUE(Resumed(committed_).ok());
  EXPECT_EQ(step_, 2);
  EXPECT_TRUE(torch::equal(store_->values(), values_[2]));
  EXPECT_THAT(remarks_, IsEmpty());
}

TEST_F(DamagedCheckpointTest, AFileThatIsMissing) {
  for (const char* name : {"slice-0001.safetensors", "slice-0000.safetensors", "manifest.json"}) {
    fs::remove(File(2, name));  // They are looked at in the opposite order.
    ExpectPassedOver(File(2, name), "is missing: the checkpoint is damaged");
  }
  fs::remove_all(dir_.path() / CheckpointPath(1, 2));
  ExpectPassedOver(File(2, "manifest.json"), "is missing: the checkpoint is damaged");
}

TEST_F(DamagedCheckpointTest, AFileThatWasCutShort) {
  for (const char* name : {"slice-0001.safetensors", "slice-0000.safetensors"}) {
    const fs::path file = File(2, name);
    const int64_t whole = static_cast<int64_t>(fs::file_size(file));
    Change(file, [](std::string& bytes) { bytes.pop_back(); });
    ExpectPassedOver(
        file, StrCat("has ", whole - 1, " bytes, its manifest says ", whole, ": the checkpoint is damaged"));
  }
  Change(File(2, "manifest.json"), [](std::string& bytes) { bytes.resize(bytes.size() / 2); });
  ExpectPassedOver(File(2, "manifest.json"),
                   "is not the manifest that was committed: the checkpoint is damaged");
}

TEST_F(DamagedCheckpointTest, OneBitThatFlipped) {
  for (const char* name : {"slice-0000.safetensors", "slice-0001.safetensors"}) {
    const size_t size = fs::file_size(File(2, name));
    for (const size_t at : {size_t{0}, size_t{9}, size / 2, size - 1}) {
      const auto flip = [&](std::string& bytes) { bytes[at] ^= 4; };
      Change(File(2, name), flip);
      ExpectPassedOver(File(2, name), "differs from its manifest: the checkpoint is damaged");
      Change(File(2, name), flip);
    }
  }
  // Every bit of a manifest counts, also of a number that would be as good.
  const size_t size = fs::file_size(File(2, "manifest.json"));
  for (size_t at = 0; at < size; at += 7) {
    const auto flip = [&](std::string& bytes) { bytes[at] ^= 1; };
    Change(File(2, "manifest.json"), flip);
    ExpectPassedOver(File(2, "manifest.json"),
                     "is not the manifest that was committed: the checkpoint is damaged");
    Change(File(2, "manifest.json"), flip);
  }
  EXPECT_TRUE(Resumed(committed_).ok());
  EXPECT_EQ(step_, 2);
}

TEST_F(DamagedCheckpointTest, FilesThatWereExchanged) {
  const auto exchange = [&](const fs::path& one, const fs::path& other) {
    const std::string bytes = *ReadFile(one);
    fs::rename(other, one);
    ASSERT_TRUE(WriteFileDurably(other, bytes).ok());
  };
  // Within a checkpoint: of equal sizes, so that only their digests tell.
  const fs::path first = File(2, "slice-0000.safetensors"), second = File(2, "slice-0001.safetensors");
  ASSERT_EQ(fs::file_size(first), fs::file_size(second));
  exchange(first, second);
  ExpectPassedOver(first, "differs from its manifest: the checkpoint is damaged");
  exchange(first, second);
  EXPECT_TRUE(Resumed(committed_).ok());
  EXPECT_EQ(step_, 2);
  // With another's, which is then damaged too.
  exchange(second, File(1, "slice-0001.safetensors"));
  const Status none = Resumed(committed_);
  EXPECT_TRUE(absl::IsDataLoss(none));
  EXPECT_EQ(Message(none), StrCat(second.string(),
                                  " differs from its manifest: the checkpoint is damaged; no older one "
                                  "can be taken either, of 1"));
  EXPECT_THAT(remarks_, IsEmpty());
}

TEST_F(DamagedCheckpointTest, AManifestOfAnotherJobOrCheckpoint) {
  const fs::path manifest = File(2, "manifest.json");
  const std::string own = *ReadFile(manifest);
  const std::string others =
      Save({dir_ / "other", 1, 2}, {"base", "other", "settings", "cpu"}, {state_, no_scale_})->path;
  const std::string strange = *ReadFile(dir_ / "other" / others / "manifest.json");
  ASSERT_TRUE(WriteFileDurably(manifest, strange).ok());
  ExpectPassedOver(manifest, "is not the manifest that was committed: the checkpoint is damaged");
  // Where nobody tells what was committed, it is known by what it says.
  committed_[0].manifest_sha256.clear();
  ASSERT_TRUE(Resumed(committed_).ok());
  EXPECT_EQ(step_, 1);
  EXPECT_THAT(remarks_, ElementsAre(HasSubstr("checkpoints/e1-s2 was made with other data")));
  EXPECT_TRUE(absl::IsFailedPrecondition(Resumed({committed_[0]})));
  fs::copy_file(File(1, "manifest.json"), manifest, fs::copy_options::overwrite_existing);
  ExpectPassedOver(manifest, "is that of step 1: the checkpoint is damaged");
  ASSERT_TRUE(WriteFileDurably(manifest, own).ok());
  EXPECT_TRUE(Resumed(committed_).ok());
  EXPECT_EQ(step_, 2);
}

TEST_F(DamagedCheckpointTest, AManifestThatNobodyHereWrites) {
  const fs::path manifest = File(2, "manifest.json");
  const nlohmann::json own = nlohmann::json::parse(*ReadFile(manifest));
  committed_[0].manifest_sha256.clear();
  const auto change = [&](const char* pointer, int value) {
    nlohmann::json changed = own;
    changed.at(nlohmann::json::json_pointer(pointer)) = value;
    ASSERT_TRUE(WriteFileDurably(manifest, changed.dump()).ok());
  };
  change("/format", 3);
  ExpectPassedOver(manifest, "is no checkpoint manifest of format 1 or 2");
  for (const int slices : {3, 1, 0, -1}) {
    change("/layout/slices", slices);
    ExpectPassedOver(manifest, StrCat("has ", slices, " slices and 2 files: the checkpoint is damaged"));
  }
  change("/format", 1);  // Whose files are others.
  ExpectPassedOver(File(2, "trainable.safetensors"), "is missing: the checkpoint is damaged");
}

// An older one was made on the same machine: taking it would only hide what differs.
TEST_F(DamagedCheckpointTest, OtherNumericsAreNoDamage) {
  const Resume resume{.run_dir = dir_.path(), .newest_first = committed_};
  const Status status = Load(resume, {"base", "data", "settings", "other"}, {state_, no_scale_}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(Message(status)), HasSubstr("e1-s2 was made on 'cpu', this is 'other'"));
}

// Rank 0 alone knows which was damaged: the others go on from the same step with its values.
TEST_F(DamagedCheckpointTest, AllRanksGoOnFromTheOneThatIsTaken) {
  Change(File(2, "slice-0001.safetensors"), [](std::string& bytes) { bytes.back() ^= 1; });
  ft::testing::SpawnRanks(2, [&](comm::Comm& comm) {
    const auto own = EqualSlices(5 + comm.rank());
    shard::TrainedState state(comm, {.slices = 2}, *own, {});
    optim::LossScale none;
    const StatusOr<int64_t> step =
        comm.rank() == 0
            ? Load({.run_dir = dir_.path(), .newest_first = committed_}, identity_, {state, none})
            : JoinLoad({state, none});
    ASSERT_TRUE(step.ok()) << step.status();
    EXPECT_EQ(*step, 1);
    EXPECT_TRUE(torch::equal(own->values(), values_[1]));
  });
}

TEST_F(CheckpointTest, OrdinaryWritingTellsItsBytes) {
  const auto optimizer_store = EqualSlices(1);
  Optimizing optimizer(*optimizer_store, {}, /*slices=*/2);
  std::vector<int64_t> told;
  const auto saved = Save({.run_dir = dir_.path(),
                           .epoch = 1,
                           .step = 1,
                           .progress = [&](int64_t bytes) { told.push_back(bytes); }},
                          identity_, {optimizer, no_scale_});
  ASSERT_TRUE(saved.ok());
  ASSERT_GE(told.size(), 2u);  // The end of each of the two files, counted together.
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  const auto size = [&](const char* name) {
    return static_cast<int64_t>(fs::file_size(dir_.path() / saved->path / name));
  };
  EXPECT_EQ(told.back(), size("slice-0000.safetensors") + size("slice-0001.safetensors"));
  EXPECT_EQ(saved->size_bytes, told.back() + size("manifest.json"));
  int signs = 0;  // Signs of life while it is read back.
  const auto loaded =
      Load({.run_dir = dir_.path(), .newest_first = {{saved->path, ""}}, .progress = [&] { ++signs; }},
           identity_, {optimizer, no_scale_});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_GE(signs, 3);
}

// Tensors that are cut: several granules each.
std::unique_ptr<params::ParameterStore> LargeParameters(int seed) {
  at::Generator generator = at::detail::createCPUGenerator(static_cast<uint64_t>(seed));
  const auto random = [&](int64_t rows) { return torch::randn({rows, 100}, generator); };
  return params::MakeStore(
      {{"a", random(70), random(70)}, {"b", random(1), random(1)}, {"c", random(90), random(90)}},
      TestDevice());
}

// Optimizer steps of a rank that may own slices only; its gradients are those of the whole.
void Steps(shard::TrainedState& state, int count) {
  const auto whole = LargeParameters(1);
  params::ParameterStore& store = state.store();
  for (int step = 0; step < count; ++step) {
    for (const plan::Share::Part& part : store.share().parts()) {
      const int64_t elements = part.whole.end - part.whole.begin;
      store.gradient_sums()
          .narrow(0, part.begin, elements)
          .copy_(whole->gradients().narrow(0, part.whole.begin, elements));
    }
    ASSERT_TRUE(state.Update(0.01, 1, 0).ok());
  }
}

struct Kind {
  const char* optimizer;
  bool on_disk = false;        // Ranks that have slices keep their state there.
  bool values_sliced = false;  // They have slices of the values too.
  bool values_rest = false;    // Those are on disk as well, beside copies that stay.
};

const recipe::Sharding kSliced{.slices = 4, .states_sliced = true};

class CheckpointKinds : public CheckpointTest, public ::testing::WithParamInterface<Kind> {
 protected:
  std::unique_ptr<offload::Tier> TierOf(const comm::Comm& comm, const params::ParameterStore& store,
                                        const recipe::Sharding& sharding) const {
    if (!GetParam().on_disk) return nullptr;
    // Tiles that cut tensors.
    const plan::StateTiles tiles =
        plan::StateTiles::OfRank(store.table(), sharding, {comm.rank(), comm.size()},
                                 plan::StateArraysOf(GetParam().optimizer), 3 * plan::kGranule);
    StatusOr<offload::OpenedTileFile> opened = offload::OpenTileFile(dir_.path(), tiles.bytes());
    EXPECT_TRUE(opened.ok()) << opened.status();
    return offload::MakeDiskTier(tiles, std::move(opened->file), {.pinned = !TestDevice().is_cpu()});
  }

  std::unique_ptr<params::WeightTier> ValueTier() const {
    if (!GetParam().values_rest) return nullptr;
    return offload::MakeDiskWeights(
        [this](int64_t bytes, const std::string& what) {
          return offload::OpenTileFile(dir_.path(), bytes, what);
        },
        {.pinned = !TestDevice().is_cpu()});
  }

  // Runs fn(state) on so many ranks with slices of parameters of this seed.
  void OnRanks(int ranks, int seed, const std::function<void(shard::TrainedState& state)>& fn) const {
    ft::testing::SpawnRanks(ranks, [&](comm::Comm& comm) {
      const std::unique_ptr<params::WeightTier> tier = ValueTier();
      std::unique_ptr<params::ParameterStore> store = LargeParameters(seed);
      shard::UnitExchange exchange(comm);
      std::unique_ptr<params::SharedUnits> units;
      if (GetParam().values_sliced) {
        const plan::Slices slices(store->table(), kSliced.slices);
        auto share = std::make_unique<params::ParameterStore>(
            store->table(), plan::Share::Of(slices, exchange.who()), at::kFloat, TestDevice(), tier.get());
        const params::WeightDivision division = shard::DivisionOf(kSliced, exchange, {.values = tier.get()});
        if (tier != nullptr) units = std::make_unique<params::SharedUnits>(division, *share, /*blocks=*/1);
        for (int i = 0; i < store->size(); ++i) share->SetValue(i, store->value(i));
        store = std::move(share);
      }
      const auto changed = [&] {
        if (units != nullptr) units->TrainedChanged();
      };
      shard::TrainedState state(comm, kSliced, *store, spec_, changed, TierOf(comm, *store, kSliced));
      fn(state);
    });
  }

  // Ranks with other parameters go on from the checkpoint of step 2 to where `straight` came.
  void ExpectGoesOn(const std::string& path, const torch::Tensor& straight) const {
    for (const int ranks : {1, 2, 4}) {
      OnRanks(ranks, 100, [&](shard::TrainedState& state) {
        optim::LossScale none;
        const StatusOr<int64_t> step = state.comm().rank() == 0
                                           ? Load({dir_.path(), {{path, ""}}}, identity_, {state, none})
                                           : JoinLoad({state, none});
        ASSERT_TRUE(step.ok()) << step.status();
        EXPECT_EQ(*step, 2);
        EXPECT_EQ(state.optimizer().steps(), 2);
        Steps(state, 2);
        const params::ParameterStore& store = state.store();
        for (const plan::Share::Part& part : store.share().parts()) {
          EXPECT_TRUE(torch::equal(store.OwnedValues(part.whole),
                                   straight.slice(0, part.whole.begin, part.whole.end)))
              << path << " on " << ranks;
        }
        if (store.has_whole_values()) {
          EXPECT_TRUE(torch::equal(store.values(), straight)) << path;
        }
        for (int i = 0; i < store.size() && store.values_rest(); ++i) {
          const plan::TensorRange& range = store.range(i);
          EXPECT_TRUE(
              torch::equal(store.weight(i).view({-1}), straight.narrow(0, range.begin, range.elements)))
              << path << " on " << ranks;
        }
      });
    }
  }

  // One rank that has everything takes four steps; `save` is called after two. Answers the values.
  torch::Tensor Straight(const std::function<void(shard::TrainedState& state)>& save) const {
    const std::unique_ptr<params::ParameterStore> store = LargeParameters(1);
    const auto comm = comm::SingleRankComm();
    shard::TrainedState state(*comm, {.slices = kSliced.slices}, *store, spec_);
    Steps(state, 2);
    save(state);
    Steps(state, 2);
    return store->values();
  }

  const recipe::OptimizerSpec spec_{.kind = GetParam().optimizer};
};

// Whether ranks write their files themselves, or some or all others give what they have to rank 0.
TEST_P(CheckpointKinds, ItsBytesDependOnNoOwnerAndAnyRanksGoOnFromIt) {
  std::string sha256;
  const torch::Tensor straight = Straight([&](shard::TrainedState& state) {
    sha256 = Save({dir_.path(), 1, 2}, identity_, {state, no_scale_})->manifest_sha256;
  });
  const fs::path elsewhere = dir_ / "elsewhere";
  for (const int epoch : {2, 3, 4}) {
    const int seeing = epoch == 2 ? 4 : epoch == 3 ? 2 : 1;  // The first so many ranks.
    const fs::path beside = elsewhere / StrCat("checkpoints/.e", epoch, "-s2.tmp");
    ASSERT_TRUE(MakeDirectories(beside).ok());
    ASSERT_TRUE(WriteFileDurably(beside / ".rank0", "of another time.").ok());
    OnRanks(4, 1, [&](shard::TrainedState& state) {
      Steps(state, 2);
      optim::LossScale none;
      const int rank = state.comm().rank();
      const SaveOptions options{rank < seeing ? dir_.path() : elsewhere, epoch, 2};
      if (rank > 0) {
        const Status joined = JoinSave(options, {state, none});
        ASSERT_TRUE(joined.ok()) << joined;
        return;
      }
      const StatusOr<Saved> saved = Save(options, identity_, {state, none});
      ASSERT_TRUE(saved.ok()) << saved.status();
      EXPECT_EQ(saved->manifest_sha256, sha256) << seeing;
    });
    EXPECT_EQ(std::distance(fs::directory_iterator(beside), {}), 1);
    const fs::path whole = dir_ / CheckpointPath(epoch, 2);
    EXPECT_EQ(std::distance(fs::directory_iterator(whole), {}), kSliced.slices + 1);
  }
  ExpectGoesOn("checkpoints/e4-s2", straight);
}

TEST_P(CheckpointKinds, AnyRanksGoOnFromWholeTensorsOfFormat1) {
  std::string path;
  const torch::Tensor straight = Straight([&](shard::TrainedState& state) {
    const StatusOr<std::string> saved = SaveFormat1({dir_.path(), 1, 2}, identity_, state);
    ASSERT_TRUE(saved.ok()) << saved.status();
    path = *saved;
  });
  ExpectGoesOn(path, straight);
}

INSTANTIATE_TEST_SUITE_P(Kinds, CheckpointKinds,
                         ::testing::Values(Kind{"adamw"}, Kind{"adamw_8bit"}, Kind{"sgd"},
                                           Kind{"adamw", true}, Kind{"adamw_8bit", true},
                                           Kind{"adamw", false, true}, Kind{"adamw_8bit", true, true},
                                           Kind{"adamw", true, true, true}),
                         [](const auto& info) {
                           return StrCat(info.param.optimizer, info.param.on_disk ? "_on_disk" : "",
                                         info.param.values_sliced ? "_in_slices" : "",
                                         info.param.values_rest ? "_beside_copies" : "");
                         });

// "NAME TYPE [SHAPE]" of every tensor that a fresh optimizer's checkpoint holds.
std::vector<std::string> ArraysOf(const fs::path& run_dir, const Identity& identity, const char* kind) {
  const auto store = LargeParameters(1);
  Optimizing optimizer(*store, {.kind = kind});
  optim::LossScale none;
  const StatusOr<Saved> saved = Save({run_dir, 1, 1}, identity, {optimizer, none});
  EXPECT_TRUE(saved.ok()) << saved.status();
  const auto file = weights::SafetensorsFile::Open(run_dir / saved->path / "slice-0000.safetensors");
  EXPECT_TRUE(file.ok()) << file.status();
  std::vector<std::string> arrays;
  for (const weights::TensorInfo& info : (*file)->tensors()) {
    std::string line = StrCat(info.name, " ", weights::Name(info.dtype));
    for (const int64_t size : info.shape) StrAppend(&line, " ", size);
    arrays.push_back(line);
  }
  return arrays;
}

// Values, then what the optimizer keeps, in bitsandbytes' parts where that is 8 bits.
TEST_F(CheckpointTest, AnOptimizersArraysHaveTheirNamesTypesAndSizes) {
  EXPECT_THAT(ArraysOf(dir_.path(), identity_, "adamw"),
              ElementsAre("a F32 7000", "b F32 100", "c F32 9000", "a.exp_avg F32 7000",
                          "a.exp_avg_sq F32 7000", "b.exp_avg F32 100", "b.exp_avg_sq F32 100",
                          "c.exp_avg F32 9000", "c.exp_avg_sq F32 9000"));
  EXPECT_THAT(ArraysOf(dir_.path(), identity_, "adamw_8bit"),
              ElementsAre("a F32 7000", "b F32 100", "c F32 9000", "a.exp_avg U8 7000",
                          "a.exp_avg.absmax F32 28", "a.exp_avg_sq U8 7000", "a.exp_avg_sq.absmax F32 28",
                          "b.exp_avg F32 100", "b.exp_avg_sq F32 100", "c.exp_avg U8 9000",
                          "c.exp_avg.absmax F32 36", "c.exp_avg_sq U8 9000", "c.exp_avg_sq.absmax F32 36"));
  EXPECT_THAT(ArraysOf(dir_.path(), identity_, "sgd"), ElementsAre("a F32 7000", "b F32 100", "c F32 9000"));
}

// Its job's settings tell it apart already; where they do not, the array that is missing or of another type is named, and nothing is changed.
TEST_F(CheckpointTest, AnotherOptimizersIsRefusedByTheArray) {
  const auto refusal = [&](const char* of, const char* by) {
    const auto store = LargeParameters(1);
    Optimizing saving(*store, {.kind = of});
    const StatusOr<Saved> saved = Save({dir_.path(), 1, 1}, identity_, {saving, no_scale_});
    const auto own = LargeParameters(2);
    const torch::Tensor before = own->values().clone();
    Optimizing loading(*own, {.kind = by});
    const Status status = Load({dir_.path(), {{saved->path, ""}}}, identity_, {loading, no_scale_}).status();
    EXPECT_TRUE(torch::equal(own->values(), before));
    return std::string(Message(status));
  };
  const std::string file = (dir_.path() / "checkpoints/e1-s1/slice-0000.safetensors").string();
  EXPECT_EQ(refusal("adamw", "adamw_8bit"),
            file + ": the checkpoint has no U8 tensor 'a.exp_avg' of the shape this job trains");
  EXPECT_EQ(refusal("adamw_8bit", "adamw"),
            file + ": the checkpoint has no F32 tensor 'a.exp_avg' of the shape this job trains");
  EXPECT_EQ(refusal("sgd", "adamw"),
            file + ": the checkpoint has no F32 tensor 'a.exp_avg' of the shape this job trains");
}

TEST_F(CheckpointTest, EveryRankGoesOnFromRankZerosCounts) {
  {
    const auto store = Parameters(1);
    Optimizing optimizer(*store);
    optimizer.Step(0.01);
    optim::LossScale scale({.initial = 512});
    scale.NoteGoodStep();
    ASSERT_TRUE(Save({dir_.path(), 1, 9}, identity_, {optimizer, scale}).ok());
  }
  ft::testing::SpawnRanks(2, [&](comm::Comm& comm) {
    const auto own = params::MakeStore(
        {{"a.lora_A.weight", torch::zeros({3, 5}), {}}, {"a.lora_B.weight", torch::zeros({7, 3}), {}}},
        TestDevice());
    shard::TrainedState state(comm, {.slices = 2}, *own, {});
    optim::LossScale scale({.initial = 64});
    const StatusOr<int64_t> step =
        comm.rank() == 0 ? Load({dir_.path(), {{"checkpoints/e1-s9", ""}}}, identity_, {state, scale})
                         : JoinLoad({state, scale});
    ASSERT_TRUE(step.ok()) << step.status();
    EXPECT_EQ(*step, 9);
    EXPECT_EQ(state.optimizer().steps(), 1);
    EXPECT_EQ(scale.value(), 512);
    EXPECT_EQ(scale.good_steps(), 1);
    EXPECT_GT(own->values().abs().sum().item<double>(), 0);
  });
}

// Files say how many slices they are, so whoever cuts otherwise finds what it wants in several.
TEST_F(CheckpointTest, FilesOfOtherSlicesAreReadToo) {
  const auto saved_store = LargeParameters(1);
  Optimizing saving(*saved_store, {.kind = "adamw_8bit"}, /*slices=*/4);
  saving.Step(0.01);
  ASSERT_TRUE(Save({dir_.path(), 1, 1}, identity_, {saving, no_scale_}).ok());
  saving.Step(0.01);
  for (const int slices : {1, 2, 8}) {
    const auto store = LargeParameters(2);
    Optimizing loading(*store, {.kind = "adamw_8bit"}, slices);
    const auto step = Load({dir_.path(), {{"checkpoints/e1-s1", ""}}}, identity_, {loading, no_scale_});
    ASSERT_TRUE(step.ok()) << step.status();
    store->gradients().copy_(saved_store->gradients());
    loading.Step(0.01);
    EXPECT_TRUE(torch::equal(store->values(), saved_store->values())) << slices;
  }
}

// More than a part of it may be in memory at once.
TEST_F(CheckpointTest, LongTensorsGoInParts) {
  const auto make = [](int seed) {
    torch::manual_seed(seed);
    return params::MakeStore({{"long", torch::randn({1301, 1000}), torch::randn({1301, 1000})}},
                             TestDevice());
  };
  const auto saved_store = make(1);
  Optimizing saving(*saved_store, {});
  saving.Step(0.01);
  ASSERT_TRUE(Save({dir_.path(), 1, 1}, identity_, {saving, no_scale_}).ok());
  saving.Step(0.01);
  const auto store = make(2);
  Optimizing loading(*store, {});
  ASSERT_TRUE(Load({dir_.path(), {{"checkpoints/e1-s1", ""}}}, identity_, {loading, no_scale_}).ok());
  store->gradients().copy_(saved_store->gradients());
  loading.Step(0.01);
  EXPECT_TRUE(torch::equal(store->values(), saved_store->values()));
}

// Of one rank's error the others learn as it leaves; what is there keeps its dot.
TEST_F(CheckpointTest, AFileThatCannotBeWrittenEndsAllRanks) {
  const fs::path file = dir_ / "checkpoints/.e1-s1.tmp/slice-0001.safetensors";
  ft::testing::SpawnRanks(2, [&](comm::Comm& comm) {
    const auto store = LargeParameters(1);
    shard::TrainedState state(comm, {.slices = 2, .states_sliced = true}, *store, {});
    optim::LossScale none;
    SaveOptions options{dir_.path(), 1, 1};
    if (comm.rank() == 0) {
      const Status saved = Save(options, identity_, {state, none}).status();
      EXPECT_TRUE(absl::IsUnavailable(saved)) << saved;
      return;
    }
    options.progress = [&](int64_t) { fs::create_directory(file); };  // In the place of the file.
    const Status joined = JoinSave(options, {state, none});
    EXPECT_THAT(std::string(Message(joined)), HasSubstr(file.string()));
    EXPECT_TRUE(comm.failure().ok());
  });
  EXPECT_FALSE(fs::exists(dir_ / "checkpoints/e1-s1"));
}

TEST_F(CheckpointTest, HalfWrittenFolderBesideIsReplaced) {
  fs::create_directories(dir_ / "checkpoints/.e1-s1.tmp");
  ASSERT_TRUE(WriteFileDurably(dir_ / "checkpoints/.e1-s1.tmp/slice-0000.safetensors", "torn").ok());
  const auto optimizer_store = Parameters(1);
  Optimizing optimizer(*optimizer_store);
  ASSERT_TRUE(Save({dir_.path(), 1, 1}, identity_, {optimizer, no_scale_}).ok());
  EXPECT_FALSE(fs::exists(dir_ / "checkpoints/.e1-s1.tmp"));
}

}  // namespace
}  // namespace ft::checkpoint
