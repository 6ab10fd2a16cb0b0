// Model folders as trainers, wrappers and quantisers leave them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/model/weights/quantization.h"
#include "worker/model/weights/renamed_source.h"
#include "worker/model/weights/safetensors.h"

namespace ft::weights {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CasesModelFiles : public ::testing::Test {
 protected:
  // A file with these tensors; the first value of tensor i is i.
  void Write(const std::string& file, const std::vector<std::string>& names, DType dtype = DType::kF32) {
    std::vector<std::vector<float>> values;
    for (size_t i = 0; i < names.size(); ++i) values.push_back({static_cast<float>(i), 0.5f});
    std::vector<TensorData> tensors;
    for (size_t i = 0; i < names.size(); ++i) {
      const size_t size = *StoredBytes(dtype, 2);
      tensors.push_back({{names[i], dtype, {2}}, std::as_bytes(std::span(values[i])).first(size)});
    }
    ASSERT_TRUE(WriteSafetensors(dir_ / file, tensors, {}).ok());
  }
  std::vector<std::string> Names(const TensorSource& source) {
    std::vector<std::string> names;
    for (const TensorInfo& info : source.tensors()) names.push_back(info.name);
    return names;
  }
  std::string Refusal() {
    const auto source = OpenWeights(dir_.path());
    return source.ok() ? "" : std::string(Message(source.status()));
  }
  testing::TempDir dir_;
};

// 107
TEST_F(CasesModelFiles, ShardsWithoutAnIndexAreTakenAsAWholeAndSaidSo) {
  Write("model-00001-of-00002.safetensors", {"a"});
  Write("model-00002-of-00002.safetensors", {"b", "c"});
  const auto source = OpenWeights(dir_.path());
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_THAT(Names(**source), ElementsAre("a", "b", "c"));
  EXPECT_THAT((*source)->remarks(),
              ElementsAre(HasSubstr("model.safetensors.index.json is missing: all 2 shards are there")));
}

TEST_F(CasesModelFiles, AMissingShardIsNamed) {
  Write("model-00001-of-00003.safetensors", {"a"});
  Write("model-00003-of-00003.safetensors", {"c"});
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("model-00002-of-00003.safetensors is missing"),
                               HasSubstr("no model.safetensors.index.json"), HasSubstr("shards of 3")));
}

TEST_F(CasesModelFiles, ATensorInTwoShardsIsRefused) {
  Write("model-00001-of-00002.safetensors", {"a"});
  Write("model-00002-of-00002.safetensors", {"a"});
  EXPECT_THAT(Refusal(),
              AllOf(HasSubstr("model-00002-of-00002.safetensors"), HasSubstr("'a' is there twice")));
}

TEST_F(CasesModelFiles, FilesOfOtherNamesAreNamed) {
  Write("part_a.safetensors", {"a"});
  Write("part_b.safetensors", {"b"});
  EXPECT_THAT(Refusal(),
              AllOf(HasSubstr("part_a.safetensors and others"), HasSubstr("model.safetensors.index.json")));
}

// 106
TEST_F(CasesModelFiles, NamesWithoutThePrefixAndWithinWrappersAreRead) {
  const std::pair<std::vector<std::string>, std::vector<std::string>> cases[] = {
      {{"embed_tokens.weight", "layers.0.mlp.up_proj.weight", "norm.weight"},
       {"model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight"}},
      {{"embed_tokens.weight", "lm_head.weight"}, {"model.embed_tokens.weight", "lm_head.weight"}},
      {{"module.model.embed_tokens.weight", "module.lm_head.weight"},
       {"model.embed_tokens.weight", "lm_head.weight"}},
      {{"model.model.embed_tokens.weight", "model.model.norm.weight", "model.lm_head.weight"},
       {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}},
  };
  for (const auto& [stored, read] : cases) {
    Write("model.safetensors", stored);
    const auto source = OpenWeights(dir_.path());
    ASSERT_TRUE(source.ok()) << source.status();
    EXPECT_EQ(Names(**source), read);
    EXPECT_THAT((*source)->remarks(), ElementsAre(HasSubstr("read as model.embed_tokens.weight")))
        << stored[0];
    std::vector<float> values(2);
    ASSERT_TRUE(ReadFloat32(**source, *(*source)->Find(read[1]), values).ok());
    EXPECT_EQ(values[0], 1) << read[1];
  }
}

TEST_F(CasesModelFiles, UsualNamesStayAsTheyAre) {
  Write("model.safetensors", {"model.embed_tokens.weight", "layers.0.x.weight", "lm_head.weight"});
  const auto source = OpenWeights(dir_.path());
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_THAT(Names(**source),
              ElementsAre("model.embed_tokens.weight", "layers.0.x.weight", "lm_head.weight"));
  EXPECT_TRUE((*source)->remarks().empty());
}

// A model that has a text part beside others, and an adapter with an embedding of its own, are no wrappers.
TEST_F(CasesModelFiles, NamesThatTellPartsApartStayAsTheyAre) {
  const std::vector<std::string> parts = {"language_model.model.embed_tokens.weight",
                                          "vision_tower.x.weight"};
  Write("model.safetensors", parts);
  EXPECT_EQ(Names(**OpenWeights(dir_.path())),
            (std::vector<std::string>{"model.embed_tokens.weight", "vision_tower.x.weight"}));
  ASSERT_TRUE(WriteFileDurably(dir_ / "config.json", R"({"text_config": {}})").ok());
  EXPECT_EQ(Names(**OpenWeights(dir_.path())), parts);
  const std::vector<std::string> adapter = {"base_model.model.lm_head.weight",
                                            "base_model.model.model.embed_tokens.weight"};
  Write("adapter_model.safetensors", adapter);
  EXPECT_EQ(Names(**OpenWeights(dir_ / "adapter_model.safetensors")), adapter);
}

TEST_F(CasesModelFiles, TwoTensorsUnderOneNameAreRefused) {
  Write("model.safetensors", {"embed_tokens.weight", "norm.weight", "model.norm.weight"});
  EXPECT_THAT(Refusal(), HasSubstr("'model.norm.weight' is there twice"));
}

// 109
TEST_F(CasesModelFiles, EightBitFloatsAreRefusedByNameWithWhatToTake) {
  for (const std::string type : {"F8_E4M3", "F8_E5M2"}) {
    const std::string header = StrCat(R"({"model.layers.0.mlp.up_proj.weight":{"dtype":")", type,
                                      R"(","shape":[2],"data_offsets":[0,2]}})");
    const uint64_t length = header.size();
    std::ofstream(dir_ / "model.safetensors", std::ios::binary | std::ios::trunc)
        << std::string(reinterpret_cast<const char*>(&length), sizeof(length)) << header << "xx";
    EXPECT_THAT(Refusal(), AllOf(HasSubstr("model.layers.0.mlp.up_proj.weight"), HasSubstr(type),
                                 HasSubstr("in BF16 or F16")));
  }
}

// 127, 142
TEST(CasesQuantization, MethodsThatAreNotReadAreRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}})",
       "quant_method is gptq: GPTQ weights"},
      {R"({"quantization_config": {"quant_method": "awq"}})", "AWQ"},
      {R"({"quantization_config": {"quant_method": "fp8"}})", "FP8"},
      {R"({"quantization_config": {"quant_method": "compressed-tensors"}})", "compressed-tensors"},
      {R"({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": true}})",
       "bitsandbytes 8-bit"},
      {R"({"quantization_config": {"bits": 4}})", "quant_method is not given"},
      {R"({"quantization": {"group_size": 64, "bits": 4}})", "MLX"},
  };
  for (const auto& [config, name] : cases) {
    const Status status = CheckQuantization(json::parse(config), "m/config.json");
    EXPECT_TRUE(absl::IsUnimplemented(status)) << config;
    EXPECT_THAT(std::string(Message(status)),
                AllOf(HasSubstr("m/config.json"), HasSubstr(name), HasSubstr("in BF16 or F16")));
  }
}

TEST(CasesQuantization, PlainAndFourBitModelsPass) {
  for (
      const char* config :
      {"{}", "[]", R"({"quantization_config": null})",
       R"({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true, "load_in_8bit": false}})"}) {
    EXPECT_TRUE(CheckQuantization(json::parse(config), "f").ok()) << config;
  }
}

TEST_F(CasesModelFiles, PackedWeightsAreKnownByTheirTensors) {
  Write("model.safetensors", {"a.qweight", "b.weight_packed"}, DType::kI32);
  const auto source = OpenWeights(dir_.path());
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(PackingOfWeight(**source, "a.weight"), "GPTQ or AWQ");
  EXPECT_EQ(PackingOfWeight(**source, "b.weight"), "compressed-tensors");
  EXPECT_EQ(PackingOfWeight(**source, "c.weight"), "");
  EXPECT_EQ(PackingOf({"a.weight", DType::kI8, {2}}), "bitsandbytes 8-bit (LLM.int8)");
  EXPECT_EQ(PackingOf({"a.weight", DType::kBF16, {2}}), "");
}

// Writing tells its bytes while it lasts: a slow disk is no hang.
TEST_F(CasesModelFiles, WritingTellsTheBytesOnTheirWayToTheDisk) {
  const std::vector<float> values(5 << 20, 1.5f);  // 20 MiB.
  std::vector<int64_t> told;
  const TensorData data{{"a", DType::kF32, {static_cast<int64_t>(values.size())}},
                        std::as_bytes(std::span(values))};
  ASSERT_TRUE(
      WriteSafetensors(dir_ / "big.safetensors", std::vector<TensorData>{data}, {}, [&](int64_t bytes) {
        told.push_back(bytes);
      }).ok());
  ASSERT_GE(told.size(), 3u);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_LE(told[0], 8 << 20);
  EXPECT_EQ(told.back(), static_cast<int64_t>(std::filesystem::file_size(dir_ / "big.safetensors")));
}

}  // namespace
}  // namespace ft::weights
