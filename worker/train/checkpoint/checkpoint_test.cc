#include "worker/train/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/model/params/store_fixture.h"
#include "worker/model/weights/safetensors.h"
#include "worker/train/offload/disk_tier.h"

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

// One rank's state that has all of it.
class Optimizing {
 public:
  explicit Optimizing(params::ParameterStore& store, const recipe::OptimizerSpec& spec = {})
      : trained_(*comm_, {}, store, spec) {}
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
  const fs::path file = dir_.path() / saved->path / "optimizer.safetensors";
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
  for (const char* pointer : {"/format", "/step", "/optimizer_steps", "/identity", "/identity/data_sha256",
                              "/files", "/files/optimizer.safetensors", "/files/optimizer.safetensors/sha256",
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

  const std::unique_ptr<params::ParameterStore> store_ = Parameters(1);
  Optimizing state_{*store_};
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
  for (const char* name : {"optimizer.safetensors", "trainable.safetensors", "manifest.json"}) {
    fs::remove(File(2, name));  // They are looked at in the opposite order.
    ExpectPassedOver(File(2, name), "is missing: the checkpoint is damaged");
  }
  fs::remove_all(dir_.path() / CheckpointPath(1, 2));
  ExpectPassedOver(File(2, "manifest.json"), "is missing: the checkpoint is damaged");
}

TEST_F(DamagedCheckpointTest, AFileThatWasCutShort) {
  for (const char* name : {"optimizer.safetensors", "trainable.safetensors"}) {
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
  for (const char* name : {"trainable.safetensors", "optimizer.safetensors"}) {
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
  // Within a checkpoint, where their sizes differ.
  const fs::path trainable = File(2, "trainable.safetensors"), optimizer = File(2, "optimizer.safetensors");
  const int64_t size = static_cast<int64_t>(fs::file_size(trainable));
  const int64_t other_size = static_cast<int64_t>(fs::file_size(optimizer));
  exchange(trainable, optimizer);
  ExpectPassedOver(trainable, StrCat("has ", other_size, " bytes, its manifest says ", size,
                                     ": the checkpoint is damaged"));
  exchange(trainable, optimizer);
  // With another's, which is then damaged too.
  exchange(optimizer, File(1, "optimizer.safetensors"));
  const Status none = Resumed(committed_);
  EXPECT_TRUE(absl::IsDataLoss(none));
  EXPECT_EQ(Message(none), StrCat(optimizer.string(),
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

// An older one was made on the same machine: taking it would only hide what differs.
TEST_F(DamagedCheckpointTest, OtherNumericsAreNoDamage) {
  const Resume resume{.run_dir = dir_.path(), .newest_first = committed_};
  const Status status = Load(resume, {"base", "data", "settings", "other"}, {state_, no_scale_}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(Message(status)), HasSubstr("e1-s2 was made on 'cpu', this is 'other'"));
}

// Rank 0 alone knows which was damaged: the others go on from the same step with its values.
TEST_F(DamagedCheckpointTest, AllRanksGoOnFromTheOneThatIsTaken) {
  Change(File(2, "trainable.safetensors"), [](std::string& bytes) { bytes.back() ^= 1; });
  ft::testing::SpawnRanks(2, [&](comm::Comm& comm) {
    const auto own = Parameters(5 + comm.rank());
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
  const auto optimizer_store = Parameters(1);
  Optimizing optimizer(*optimizer_store);
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
  EXPECT_EQ(told.back(), size("trainable.safetensors") + size("optimizer.safetensors"));
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
  bool on_disk = false;  // Ranks that have slices keep their state there.
};

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
};

TEST_P(CheckpointKinds, ItsBytesDependOnNoOwnerAndAnyRanksGoOnFromIt) {
  const recipe::Sharding sliced{.slices = 4, .states_sliced = true};
  const recipe::OptimizerSpec spec{.kind = GetParam().optimizer};
  std::string sha256;
  std::unique_ptr<params::ParameterStore> straight = LargeParameters(1);
  {
    const auto comm = comm::SingleRankComm();
    shard::TrainedState state(*comm, {}, *straight, spec);
    Steps(state, 2);
    sha256 = Save({dir_.path(), 1, 2}, identity_, {state, no_scale_})->manifest_sha256;
    Steps(state, 2);
  }
  ft::testing::SpawnRanks(4, [&](comm::Comm& comm) {
    const auto store = LargeParameters(1);
    shard::TrainedState state(
        comm, sliced, *store, spec, [] {}, TierOf(comm, *store, sliced));
    Steps(state, 2);
    optim::LossScale none;
    if (comm.rank() > 0) {
      ASSERT_TRUE(JoinSave({state, none}).ok());
      return;
    }
    const StatusOr<Saved> saved = Save({dir_.path(), 4, 2}, identity_, {state, none});
    ASSERT_TRUE(saved.ok()) << saved.status();
    EXPECT_EQ(saved->manifest_sha256, sha256);
  });
  for (const int ranks : {1, 2}) {
    ft::testing::SpawnRanks(ranks, [&](comm::Comm& comm) {
      const auto store = LargeParameters(100 + comm.rank());
      shard::TrainedState state(
          comm, sliced, *store, spec, [] {}, TierOf(comm, *store, sliced));
      optim::LossScale none;
      const StatusOr<int64_t> step =
          comm.rank() == 0 ? Load({dir_.path(), {{"checkpoints/e4-s2", ""}}}, identity_, {state, none})
                           : JoinLoad({state, none});
      ASSERT_TRUE(step.ok()) << step.status();
      EXPECT_EQ(*step, 2);
      EXPECT_EQ(state.optimizer().steps(), 2);
      Steps(state, 2);
      EXPECT_TRUE(torch::equal(store->values(), straight->values()));
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, CheckpointKinds,
                         ::testing::Values(Kind{"adamw"}, Kind{"adamw_8bit"}, Kind{"sgd"},
                                           Kind{"adamw", true}, Kind{"adamw_8bit", true}),
                         [](const auto& info) {
                           return StrCat(info.param.optimizer, info.param.on_disk ? "_on_disk" : "");
                         });

// "NAME TYPE [SHAPE]" of every tensor that a fresh optimizer's checkpoint holds.
std::vector<std::string> ArraysOf(const fs::path& run_dir, const Identity& identity, const char* kind) {
  const auto store = LargeParameters(1);
  Optimizing optimizer(*store, {.kind = kind});
  optim::LossScale none;
  const StatusOr<Saved> saved = Save({run_dir, 1, 1}, identity, {optimizer, none});
  EXPECT_TRUE(saved.ok()) << saved.status();
  const auto file = weights::SafetensorsFile::Open(run_dir / saved->path / "optimizer.safetensors");
  EXPECT_TRUE(file.ok()) << file.status();
  std::vector<std::string> arrays;
  for (const weights::TensorInfo& info : (*file)->tensors()) {
    std::string line = StrCat(info.name, " ", weights::Name(info.dtype));
    for (const int64_t size : info.shape) StrAppend(&line, " ", size);
    arrays.push_back(line);
  }
  return arrays;
}

// What older versions have written of adamw, and bitsandbytes' parts of 8 bits.
TEST_F(CheckpointTest, AnOptimizersArraysHaveTheirNamesTypesAndShapes) {
  EXPECT_THAT(ArraysOf(dir_.path(), identity_, "adamw"),
              ElementsAre("a.exp_avg F32 70 100", "a.exp_avg_sq F32 70 100", "b.exp_avg F32 1 100",
                          "b.exp_avg_sq F32 1 100", "c.exp_avg F32 90 100", "c.exp_avg_sq F32 90 100"));
  EXPECT_THAT(ArraysOf(dir_.path(), identity_, "adamw_8bit"),
              ElementsAre("a.exp_avg U8 70 100", "a.exp_avg.absmax F32 28", "a.exp_avg_sq U8 70 100",
                          "a.exp_avg_sq.absmax F32 28", "b.exp_avg F32 1 100", "b.exp_avg_sq F32 1 100",
                          "c.exp_avg U8 90 100", "c.exp_avg.absmax F32 36", "c.exp_avg_sq U8 90 100",
                          "c.exp_avg_sq.absmax F32 36"));
  EXPECT_THAT(ArraysOf(dir_.path(), identity_, "sgd"), IsEmpty());
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
  const std::string file = (dir_.path() / "checkpoints/e1-s1/optimizer.safetensors").string();
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

TEST_F(CheckpointTest, HalfWrittenFolderBesideIsReplaced) {
  fs::create_directories(dir_ / "checkpoints/.e1-s1.tmp");
  ASSERT_TRUE(WriteFileDurably(dir_ / "checkpoints/.e1-s1.tmp/trainable.safetensors", "torn").ok());
  const auto optimizer_store = Parameters(1);
  Optimizing optimizer(*optimizer_store);
  ASSERT_TRUE(Save({dir_.path(), 1, 1}, identity_, {optimizer, no_scale_}).ok());
  EXPECT_FALSE(fs::exists(dir_ / "checkpoints/.e1-s1.tmp"));
}

}  // namespace
}  // namespace ft::checkpoint
