#include "worker/train/checkpoint/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/model/params/store_fixture.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::unique_ptr<params::ParameterStore> Parameters(int seed) {
  torch::manual_seed(seed);
  return params::MakeStore({{"a.lora_A.weight", torch::randn({3, 5}), torch::randn({3, 5})},
                            {"a.lora_B.weight", torch::randn({7, 3}), torch::randn({7, 3})}},
                           TestDevice());
}

class CheckpointTest : public ::testing::Test {
 protected:
  ft::testing::TempDir dir_;
  const Identity identity_{"base", "data", "settings", "cpu"};
  optim::LossScale no_scale_;
};

TEST_F(CheckpointTest, RunThatIsResumedEqualsRunThatWentOn) {
  const auto straight_store = Parameters(1);
  optim::AdamW straight({}, *straight_store);
  for (int i = 0; i < 3; ++i) straight.Step(0.01);
  auto saved = Save({dir_.path(), 2, 3}, identity_, {straight, no_scale_});
  ASSERT_TRUE(saved.ok()) << saved.status();
  EXPECT_EQ(saved->path, "checkpoints/e2-s3");
  const auto resumed_store = Parameters(1);
  optim::AdamW resumed({}, *resumed_store);
  auto step = Load({dir_.path(), saved->path}, identity_, {resumed, no_scale_});
  ASSERT_TRUE(step.ok()) << step.status();
  EXPECT_EQ(*step, 3);
  straight.Step(0.02);
  resumed.Step(0.02);
  EXPECT_TRUE(torch::equal(straight.store().values(), resumed.store().values()));
}

TEST_F(CheckpointTest, TheLossScaleGoesOnWhereItWas) {
  const auto optimizer_store = Parameters(1);
  optim::AdamW optimizer({}, *optimizer_store);
  optim::LossScale scale({.initial = 1024, .growth_steps = 10});
  scale.NoteOverflow();
  scale.NoteGoodStep();
  auto saved = Save({dir_.path(), 1, 2}, identity_, {optimizer, scale});
  ASSERT_TRUE(saved.ok()) << saved.status();
  optim::LossScale resumed({.initial = 1024, .growth_steps = 10});
  ASSERT_TRUE(Load({dir_.path(), saved->path}, identity_, {optimizer, resumed}).ok());
  EXPECT_EQ(resumed.value(), 512);
  EXPECT_EQ(resumed.good_steps(), 1);
  const auto without = Save({dir_.path(), 1, 3}, identity_, {optimizer, no_scale_});
  EXPECT_THAT(
      std::string(Message(Load({dir_.path(), without->path}, identity_, {optimizer, resumed}).status())),
      HasSubstr("has no loss scale"));
}

TEST_F(CheckpointTest, EqualStateGivesEqualBytes) {
  const auto optimizer_store = Parameters(1);
  optim::AdamW optimizer({}, *optimizer_store);
  const std::string first = Save({dir_.path(), 1, 1}, identity_, {optimizer, no_scale_})->manifest_sha256;
  EXPECT_EQ(Save({dir_.path(), 5, 1}, identity_, {optimizer, no_scale_})->manifest_sha256, first);
}

TEST_F(CheckpointTest, DamageAndOtherIdentitiesAreRefused) {
  const auto optimizer_store = Parameters(1);
  optim::AdamW optimizer({}, *optimizer_store);
  auto saved = Save({dir_.path(), 1, 1}, identity_, {optimizer, no_scale_});
  const auto message = [&](const Identity& identity, bool allow = false) {
    return std::string(
        Message(Load({dir_.path(), saved->path, allow}, identity, {optimizer, no_scale_}).status()));
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
  optim::AdamW optimizer({}, *optimizer_store);
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
      const auto loaded = Load({dir_.path(), saved->path}, identity_, {optimizer, scale});
      EXPECT_FALSE(loaded.ok()) << pointer << " is " << other;
    }
  }
}

TEST_F(CheckpointTest, OrdinaryWritingTellsItsBytes) {
  const auto optimizer_store = Parameters(1);
  optim::AdamW optimizer({}, *optimizer_store);
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
  const auto loaded = Load({.run_dir = dir_.path(), .path = saved->path, .progress = [&] { ++signs; }},
                           identity_, {optimizer, no_scale_});
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_GE(signs, 3);
}

TEST_F(CheckpointTest, HalfWrittenFolderBesideIsReplaced) {
  fs::create_directories(dir_ / "checkpoints/.e1-s1.tmp");
  ASSERT_TRUE(WriteFileDurably(dir_ / "checkpoints/.e1-s1.tmp/trainable.safetensors", "torn").ok());
  const auto optimizer_store = Parameters(1);
  optim::AdamW optimizer({}, *optimizer_store);
  ASSERT_TRUE(Save({dir_.path(), 1, 1}, identity_, {optimizer, no_scale_}).ok());
  EXPECT_FALSE(fs::exists(dir_ / "checkpoints/.e1-s1.tmp"));
}

}  // namespace
}  // namespace ft::checkpoint
