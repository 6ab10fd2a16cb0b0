#include "worker/train/checkpoint/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/model/params/store_fixture.h"
#include "worker/model/weights/safetensors.h"

namespace ft::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::unique_ptr<params::ParameterStore> Parameters() {
  torch::manual_seed(3);
  return params::MakeStore(
      {{"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", torch::randn({2, 4})},
       {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", torch::randn({4, 2})}});
}

TEST(AdapterTest, ComesBackWithConfigTextAndWeights) {
  ft::testing::TempDir dir;
  const auto parameters = Parameters();
  auto written = WriteAdapter(
      {.dir = dir / "adapter",
       .config = {.rank = 2, .alpha = 8, .dropout = 0.1, .targets = {"q_proj"}, .base_model = "base"},
       .text = {"chatml", "pieces", "qlora", "你好", "<|im_end|>"}},
      *parameters);
  ASSERT_TRUE(written.ok()) << written.status();
  auto config = ReadAdapterConfig(dir / "adapter");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->rank, 2);
  EXPECT_EQ(config->alpha, 8);
  EXPECT_THAT(config->targets, ElementsAre("q_proj"));
  EXPECT_EQ(ReadTextConfig(dir / "adapter")->system, "你好");
  EXPECT_EQ(ReadTextConfig(dir / "adapter")->eos_token, "<|im_end|>");
  auto file = weights::SafetensorsFile::Open(dir / "adapter/adapter_model.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  torch::Tensor read = torch::empty({2, 4});
  ASSERT_TRUE(ReadFloat32(**file, *(*file)->Find(parameters->name(0)), {read.data_ptr<float>(), 8}).ok());
  EXPECT_TRUE(torch::equal(read, parameters->value(0)));
}

TEST(AdapterTest, EqualWeightsGiveEqualBytesAndOverwrite) {
  ft::testing::TempDir dir;
  const params::PeftConfig config{.rank = 2, .alpha = 8, .targets = {"q_proj"}, .base_model = "base"};
  const std::string first = WriteAdapter({.dir = dir / "a", .config = config}, *Parameters())->sha256;
  EXPECT_EQ(WriteAdapter({.dir = dir / "a", .config = config}, *Parameters())->sha256, first);
}

TEST(AdapterTest, OtherKindsAreRefusedByName) {
  ft::testing::TempDir dir;
  const auto error = [&](std::string_view config) {
    EXPECT_TRUE(WriteFileDurably(dir / "adapter_config.json", config).ok());
    return std::string(Message(ReadAdapterConfig(dir.path()).status()));
  };
  EXPECT_THAT(error(R"({"peft_type":"IA3"})"), HasSubstr("peft_type"));
  EXPECT_THAT(error(R"({"peft_type":"LORA","use_qalora":true})"), HasSubstr("use_qalora"));
  EXPECT_THAT(error(R"({"peft_type":"LORA","r":2,"lora_alpha":4,"target_modules":3})"),
              HasSubstr("target_modules"));
  EXPECT_THAT(error("nonsense"), HasSubstr("not a JSON object"));
}

// Names as older versions and trainers built on PEFT write them.
TEST(CasesAdapter, TensorNamesTellWhatIsChanged) {
  ft::testing::TempDir dir;
  ASSERT_TRUE(
      WriteFileDurably(
          dir / "adapter_config.json",
          R"({"r": 2, "lora_alpha": 8, "target_modules": ".*q_proj", "base_model_name_or_path": "hub/name"})")
          .ok());
  const std::pair<const char*, const char*> names[] = {
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.default.weight",
       "base_model.model.model.layers.0.self_attn.q_proj.lora_B.default.weight"},
      {"model.layers.0.self_attn.q_proj.lora_A.weight", "model.layers.0.self_attn.q_proj.lora_B.weight"},
      {"base_model.model.layers.0.self_attn.q_proj.lora_A.weight",
       "base_model.model.layers.0.self_attn.q_proj.lora_B.weight"}};
  for (const auto& [a, b] : names) {
    const auto values = Parameters();
    const std::vector<params::NamedTensor> renamed = {{a, values->value(0), {}}, {b, values->value(1), {}}};
    std::vector<weights::TensorData> tensors;
    for (const params::NamedTensor& p : renamed) {
      tensors.push_back({{p.name, weights::DType::kF32, p.value.sizes().vec()},
                         {static_cast<const std::byte*>(p.value.const_data_ptr()), p.value.nbytes()}});
    }
    ASSERT_TRUE(weights::WriteSafetensors(dir / "adapter_model.safetensors", tensors, {}).ok());
    const auto adapter = OpenAdapter(dir.path());
    ASSERT_TRUE(adapter.ok()) << adapter.status();
    EXPECT_THAT(adapter->modules, ElementsAre("model.layers.0.self_attn.q_proj"));
    EXPECT_NE(adapter->tensors->Find("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"),
              nullptr);
  }
}

TEST(CasesAdapter, TensorsThatAreNoPairAreRefusedByName) {
  ft::testing::TempDir dir;
  ASSERT_TRUE(WriteFileDurably(dir / "adapter_config.json",
                               R"({"r": 2, "lora_alpha": 8, "target_modules": ["q_proj"]})")
                  .ok());
  EXPECT_THAT(std::string(Message(OpenAdapter(dir.path()).status())),
              HasSubstr("no adapter_model.safetensors and no adapter_model.bin"));
  const std::vector<float> value(8, 1.0f);
  const auto refusal = [&](const std::string& name) {
    const weights::TensorData tensor{{name, weights::DType::kF32, {2, 4}}, std::as_bytes(std::span(value))};
    EXPECT_TRUE(weights::WriteSafetensors(dir / "adapter_model.safetensors",
                                          std::vector<weights::TensorData>{tensor}, {})
                    .ok());
    return std::string(Message(OpenAdapter(dir.path()).status()));
  };
  EXPECT_THAT(refusal("base_model.model.model.embed_tokens.lora_embedding_A"),
              HasSubstr("embed_tokens.lora_embedding_A is no lora_A"));
  EXPECT_THAT(refusal("base_model.model.lm_head.lora_A.weight"),
              HasSubstr("has no other half, lora_B.weight"));
}

// What the tensors say of ranks, magnitudes and saved modules.
TEST(CasesAdapter, KindsAreToldByTheirTensors) {
  ft::testing::TempDir dir;
  const std::vector<float> zeros(64);
  const auto open = [&](const char* config,
                        const std::vector<std::pair<std::string, std::vector<int64_t>>>& stored) {
    EXPECT_TRUE(WriteFileDurably(dir / "adapter_config.json", config).ok());
    std::vector<weights::TensorData> tensors;
    for (const auto& [name, shape] : stored) {
      int64_t count = 1;
      for (const int64_t size : shape) count *= size;
      tensors.push_back({{name, weights::DType::kF32, shape},
                         std::as_bytes(std::span(zeros).first(static_cast<size_t>(count)))});
    }
    EXPECT_TRUE(weights::WriteSafetensors(dir / "adapter_model.safetensors", tensors, {}).ok());
    return OpenAdapter(dir.path());
  };
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj";
  const auto adapter =
      open(R"({"r": 2, "lora_alpha": 8, "use_dora": true, "modules_to_save": ["embed_tokens"]})",
           {{q + ".lora_A.default.weight", {3, 4}},
            {q + ".lora_B.default.weight", {4, 3}},
            {q + ".lora_magnitude_vector.default.weight", {4}},
            {"base_model.model.model.embed_tokens.weight", {5, 4}}});
  ASSERT_TRUE(adapter.ok()) << adapter.status();
  EXPECT_THAT(adapter->modules, ElementsAre("model.layers.0.self_attn.q_proj"));
  EXPECT_EQ(adapter->config.kind.RankOf("model.layers.0.self_attn.q_proj", 2), 3);
  EXPECT_THAT(adapter->config.kind.modules_to_save, ElementsAre("model.embed_tokens"));
  EXPECT_NE(adapter->tensors->Find(q + ".lora_magnitude_vector"), nullptr);
  const auto refusal = [&](const char* config,
                           const std::vector<std::pair<std::string, std::vector<int64_t>>>& stored) {
    return std::string(Message(open(config, stored).status()));
  };
  const std::vector<std::pair<std::string, std::vector<int64_t>>> pair = {{q + ".lora_A.weight", {2, 4}},
                                                                          {q + ".lora_B.weight", {4, 2}}};
  auto more = pair;
  more.push_back({q + ".lora_magnitude_vector", {4}});
  EXPECT_THAT(refusal(R"({"r": 2, "lora_alpha": 8})", more), HasSubstr("is there without use_dora"));
  EXPECT_THAT(
      refusal(R"({"r": 2, "lora_alpha": 8, "use_dora": true})", pair),
      HasSubstr("use_dora is true, and model.layers.0.self_attn.q_proj has no lora_magnitude_vector"));
  more = pair;
  more.push_back({"base_model.model.lm_head.weight", {5, 4}});
  EXPECT_THAT(refusal(R"({"r": 2, "lora_alpha": 8, "modules_to_save": ["embed_tokens"]})", more),
              HasSubstr("lm_head.weight is no lora_A or lora_B of a linear layer, and of no module"));
}

}  // namespace
}  // namespace ft::checkpoint
