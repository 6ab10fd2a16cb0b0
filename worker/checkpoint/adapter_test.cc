#include "worker/checkpoint/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/weights/safetensors.h"

namespace ft::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<optim::ParamRef> Parameters() {
  torch::manual_seed(3);
  return {{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", torch::randn({2, 4}), torch::zeros({2, 4})},
          {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", torch::randn({4, 2}), torch::zeros({4, 2})}};
}

TEST(AdapterTest, ComesBackWithConfigTextAndWeights) {
  ft::testing::TempDir dir;
  const auto parameters = Parameters();
  auto written = WriteAdapter(dir / "adapter", {.rank = 2, .alpha = 8, .dropout = 0.1, .targets = {"q_proj"}, .base_model = "base"}, {"chatml", "pieces", "qlora", "你好"}, parameters);
  ASSERT_TRUE(written.ok()) << written.status();
  auto config = ReadAdapterConfig(dir / "adapter");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rank, 2);
  EXPECT_EQ(config->alpha, 8);
  EXPECT_THAT(config->targets, ElementsAre("q_proj"));
  EXPECT_EQ(ReadTextConfig(dir / "adapter")->system, "你好");
  auto file = weights::SafetensorsFile::Open(dir / "adapter/adapter_model.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  torch::Tensor read = torch::empty({2, 4});
  ASSERT_TRUE(ReadFloat32(**file, *(*file)->Find(parameters[0].name), {read.data_ptr<float>(), 8}).ok());
  EXPECT_TRUE(torch::equal(read, parameters[0].value));
}

TEST(AdapterTest, EqualWeightsGiveEqualBytesAndOverwrite) {
  ft::testing::TempDir dir;
  const adapt::PeftConfig config{.rank = 2, .alpha = 8, .targets = {"q_proj"}, .base_model = "base"};
  const std::string first = WriteAdapter(dir / "a", config, {}, Parameters())->sha256;
  EXPECT_EQ(WriteAdapter(dir / "a", config, {}, Parameters())->sha256, first);
}

TEST(AdapterTest, OtherKindsAreRefusedByName) {
  ft::testing::TempDir dir;
  const auto error = [&](std::string_view config) {
    EXPECT_TRUE(WriteFileDurably(dir / "adapter_config.json", config).ok());
    return std::string(Message(ReadAdapterConfig(dir.path()).status()));
  };
  EXPECT_THAT(error(R"({"peft_type":"IA3"})"), HasSubstr("peft_type"));
  EXPECT_THAT(error(R"({"peft_type":"LORA","use_dora":true})"), HasSubstr("use_dora"));
  EXPECT_THAT(error(R"({"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":"all"})"), HasSubstr("target_modules"));
  EXPECT_THAT(error("nonsense"), HasSubstr("not a JSON object"));
}

}  // namespace
}  // namespace ft::checkpoint
