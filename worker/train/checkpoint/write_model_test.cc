// Model folders from models of every kind, and what their config.json says.
#include "worker/train/checkpoint/write_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "tests/support/temp_dir.h"
#include "worker/model/ops/dynamic_map.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/params/bnb_checkpoint.h"
#include "worker/model/params/store_fixture.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using weights::DType;

constexpr const char* kProjection = "model.layers.0.self_attn.q_proj.weight";

// What a file holds, in the order in which it was added.
class File {
 public:
  File& Add(const std::string& name, DType dtype, const torch::Tensor& value) {
    return Add(name, dtype, value.sizes().vec(),
               std::string(static_cast<const char*>(value.contiguous().const_data_ptr()), value.nbytes()));
  }
  File& Add(const std::string& name, DType dtype, std::vector<int64_t> shape, std::string bytes) {
    infos_.push_back({name, dtype, std::move(shape)});
    bytes_.push_back(std::move(bytes));
    return *this;
  }
  void Write(const fs::path& path) const {
    std::vector<weights::TensorData> tensors;
    for (size_t i = 0; i < infos_.size(); ++i)
      tensors.push_back({infos_[i], std::as_bytes(std::span(bytes_[i]))});
    ASSERT_TRUE(weights::WriteSafetensors(path, tensors, {}).ok());
  }

 private:
  std::vector<weights::TensorInfo> infos_;
  std::vector<std::string> bytes_;
};

class CasesWriteModel : public ::testing::Test {
 protected:
  CasesWriteModel() {
    torch::manual_seed(5);
    embedding_ = torch::randn({6, 64}).to(torch::kBFloat16);
    projection_ = torch::randn({64, 64});
    fs::create_directories(dir_ / "m");
    Config(R"({"model_type": "llama", "dtype": "bfloat16", "rms_norm_eps": 1e-05})");
  }
  void Config(const std::string& text) { ASSERT_TRUE(WriteFileDurably(dir_ / "m/config.json", text).ok()); }
  // The embedding in bf16 and the projection in `dtype`.
  void Plain(DType dtype) {
    const auto type = dtype == DType::kBF16  ? torch::kBFloat16
                      : dtype == DType::kF16 ? torch::kFloat16
                                             : torch::kFloat32;
    File()
        .Add("model.embed_tokens.weight", DType::kBF16, embedding_)
        .Add(kProjection, dtype, projection_.to(type))
        .Write(dir_ / "m/model.safetensors");
  }
  // As bitsandbytes stores it, with double quantisation.
  void Bnb4() {
    const ops::Nf4Tensor nf4 = ops::QuantiseNf4(projection_);
    const std::string state = json({{"quant_type", "nf4"},
                                    {"blocksize", 64},
                                    {"shape", {64, 64}},
                                    {"dtype", "bfloat16"},
                                    {"nested_blocksize", 256},
                                    {"nested_offset", static_cast<double>(nf4.offset)}})
                                  .dump();
    const std::string name = kProjection;
    File()
        .Add("model.embed_tokens.weight", DType::kBF16, embedding_)
        .Add(name, DType::kU8, nf4.packed.view({-1, 1}))
        .Add(name + ".absmax", DType::kU8, nf4.absmax_codes)
        .Add(name + ".quant_map", DType::kF32, ops::Nf4CodeTable())
        .Add(name + ".nested_absmax", DType::kF32, nf4.nested_absmax)
        .Add(name + ".nested_quant_map", DType::kF32, ops::DynamicMapsOn(at::kCPU).signed_map)
        .Add(name + ".quant_state.bitsandbytes__nf4", DType::kU8, {static_cast<int64_t>(state.size())}, state)
        .Write(dir_ / "m/model.safetensors");
    Config(
        R"({"model_type": "llama", "dtype": "bfloat16", "vocab_size": 6, "hidden_size": 64, "num_hidden_layers": 1,
            "num_attention_heads": 1, "intermediate_size": 64,
            "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true}})");
  }
  StatusOr<WrittenModel> Write(const std::string& dtype = "auto") {
    fs::remove_all(dir_ / "out");
    return WriteModel({.model = dir_ / "m", .out = dir_ / "out", .dtype = dtype});
  }
  json WrittenConfig() { return json::parse(*ReadFile(dir_ / "out/config.json")); }
  torch::Tensor Written(const std::string& name, DType expected) {
    const auto source = weights::OpenWeights(dir_ / "out");
    EXPECT_TRUE(source.ok()) << source.status();
    const weights::TensorInfo* info = (*source)->Find(name);
    EXPECT_NE(info, nullptr) << name;
    EXPECT_EQ(info->dtype, expected) << name;
    torch::Tensor value = torch::empty(info->shape);
    EXPECT_TRUE(ReadFloat32(**source, *info, {value.data_ptr<float>(), info->elements()}).ok());
    return value;
  }

  ft::testing::TempDir dir_;
  torch::Tensor embedding_, projection_;
};

// 140
TEST_F(CasesWriteModel, FourBitWeightsAreWrittenAsWhatTheyStandFor) {
  Bnb4();
  const auto written = Write();
  ASSERT_TRUE(written.ok()) << written.status();
  const torch::Tensor expected = ops::DequantiseNf4(ops::QuantiseNf4(projection_), torch::kFloat32);
  EXPECT_TRUE(torch::equal(Written(kProjection, DType::kF32), expected));
  EXPECT_TRUE(
      torch::equal(Written("model.embed_tokens.weight", DType::kBF16), embedding_.to(torch::kFloat32)));
  const auto source = weights::OpenWeights(dir_ / "out");
  EXPECT_EQ((*source)->tensors().size(), 2u);
  EXPECT_FALSE(WrittenConfig().contains("quantization_config"));
  EXPECT_EQ(WrittenConfig()["dtype"], "float32");
  // What a qlora job sees of it is what is stored: not quantised once more.
  fs::remove_all(dir_ / "out");
  ASSERT_TRUE(WriteModel({.model = dir_ / "m", .out = dir_ / "out", .base = params::BaseKind::kNf4}).ok());
  EXPECT_TRUE(torch::equal(Written(kProjection, DType::kF32), expected));
}

// What a qlora job quantises its layout says, whatever the family calls it; nothing else is rounded.
TEST_F(CasesWriteModel, TheProjectionsOfAnyFamilyGoThroughFourBits) {
  const torch::Tensor positions = torch::randn({64, 64});
  File()
      .Add("transformer.wpe.weight", DType::kF32, positions)
      .Add("transformer.h.0.attn.c_proj.weight", DType::kF32, projection_)
      .Write(dir_ / "m/model.safetensors");
  Config(
      R"({"model_type": "gpt_bigcode", "vocab_size": 6, "n_embd": 64, "n_layer": 1, "n_head": 2, "n_positions": 64})");
  ASSERT_TRUE(WriteFileDurably(dir_ / "m/modeling_x.py", "pass\n").ok());
  ASSERT_TRUE(WriteFileDurably(dir_ / "m/ice_text.model", "m").ok());
  ASSERT_TRUE(WriteFileDurably(dir_ / "m/qwen.tiktoken", "t").ok());
  ASSERT_TRUE(WriteFileDurably(dir_ / "m/pytorch_model.bin.index.json", "{}").ok());
  ASSERT_TRUE(WriteModel({.model = dir_ / "m", .out = dir_ / "out", .base = params::BaseKind::kNf4}).ok());
  const torch::Tensor expected = ops::DequantiseNf4(ops::QuantiseNf4(projection_), torch::kFloat32);
  EXPECT_TRUE(torch::equal(Written("transformer.h.0.attn.c_proj.weight", DType::kF32), expected));
  EXPECT_TRUE(torch::equal(Written("transformer.wpe.weight", DType::kF32), positions));
  // The family's own code and vocabularies are copied; what belongs to the weights is not.
  for (const char* name : {"modeling_x.py", "ice_text.model", "qwen.tiktoken"})
    EXPECT_TRUE(fs::exists(dir_ / "out" / name)) << name;
  EXPECT_FALSE(fs::exists(dir_ / "out/pytorch_model.bin.index.json"));
}

TEST_F(CasesWriteModel, WhatIsTooLargeForOneFileGoesIntoShards) {
  Plain(DType::kF32);
  const auto whole = Write();
  ASSERT_TRUE(whole.ok()) << whole.status();
  fs::rename(dir_ / "out", dir_ / "whole");
  const auto written = WriteModel({.model = dir_ / "m", .out = dir_ / "out", .shard_bytes = 64 * 64 * 4});
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->bytes, whole->bytes);
  EXPECT_NE(written->sha256, whole->sha256);
  EXPECT_TRUE(fs::exists(dir_ / "out/model-00002-of-00002.safetensors"));
  EXPECT_FALSE(fs::exists(dir_ / "out/model.safetensors"));
  const json index = json::parse(*ReadFile(dir_ / "out/model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"]["total_size"], whole->bytes);
  EXPECT_EQ(index["weight_map"][kProjection], "model-00002-of-00002.safetensors");
  EXPECT_TRUE(torch::equal(Written(kProjection, DType::kF32), projection_));
  EXPECT_TRUE(
      torch::equal(Written("model.embed_tokens.weight", DType::kBF16), embedding_.to(torch::kFloat32)));
}

// 142, whether config.json says it or not.
TEST_F(CasesWriteModel, PackedWeightsAreRefusedByNameAndLeaveNoFolder) {
  Plain(DType::kBF16);
  Config(R"({"quantization_config": {"quant_method": "gptq", "bits": 4}})");
  EXPECT_THAT(std::string(Message(Write().status())),
              AllOf(HasSubstr("quant_method is gptq: GPTQ"), HasSubstr("in BF16 or F16")));
  Config("{}");
  const torch::Tensor packed = torch::ones({8, 64}, torch::kInt32);
  for (const auto& [name, dtype, said] :
       {std::tuple("model.layers.0.self_attn.q_proj.qweight", DType::kI32, "GPTQ or AWQ"),
        std::tuple("model.layers.0.self_attn.q_proj.weight", DType::kI8, "bitsandbytes 8-bit"),
        std::tuple("model.layers.0.self_attn.q_proj.weight", DType::kU8, "has type U8")}) {
    const int64_t size = dtype == DType::kI32 ? 512 : 2048;
    File()
        .Add("model.embed_tokens.weight", DType::kBF16, embedding_)
        .Add(name, dtype, {size}, std::string(static_cast<const char*>(packed.const_data_ptr()), 2048))
        .Write(dir_ / "m/model.safetensors");
    const Status status = Write().status();
    EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
    EXPECT_THAT(std::string(Message(status)),
                AllOf(HasSubstr(name), HasSubstr(said), HasSubstr("in BF16 or F16")));
    EXPECT_FALSE(fs::exists(dir_ / "out"));
    EXPECT_FALSE(fs::exists(dir_ / ".out.tmp"));
  }
}

// Nothing is skipped in silence.
class OrdinaryConvert : public CasesWriteModel {};
TEST_F(OrdinaryConvert, BuffersAreWrittenAsTheyLieThereAndTablesLeftOutAreSaid) {
  const torch::Tensor ids = torch::arange(4);
  File()
      .Add("model.embed_tokens.weight", DType::kBF16, embedding_)
      .Add("model.embeddings.position_ids", DType::kI64, ids)
      .Add("model.layers.0.self_attn.rotary_emb.inv_freq", DType::kF32, torch::ones({4}))
      .Write(dir_ / "m/model.safetensors");
  const auto written = Write("fp16");
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_THAT(written->remarks, ElementsAre(HasSubstr("1 rotary tables are not written")));
  const auto source = weights::OpenWeights(dir_ / "out");
  ASSERT_EQ((*source)->tensors().size(), 2u);
  const weights::TensorInfo* info = (*source)->Find("model.embeddings.position_ids");
  ASSERT_NE(info, nullptr);
  std::vector<int64_t> read(4);
  ASSERT_TRUE((*source)->ReadBytes(*info, std::as_writable_bytes(std::span(read))).ok());
  EXPECT_THAT(read, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(WrittenConfig()["dtype"], "float16");
}

// 162
TEST_F(CasesWriteModel, ConfigSaysWhatIsStored) {
  Plain(DType::kBF16);
  const std::pair<const char*, const char*> types[] = {
      {"auto", "bfloat16"}, {"bf16", "bfloat16"}, {"fp32", "float32"}, {"fp16", "float16"}};
  for (const auto& [dtype, said] : types) {
    const auto written = Write(dtype);
    ASSERT_TRUE(written.ok()) << written.status();
    EXPECT_EQ(written->dtype, said);
    EXPECT_EQ(WrittenConfig()["dtype"], said) << dtype;
    EXPECT_FALSE(WrittenConfig().contains("torch_dtype")) << dtype;
  }
  // The older key, and neither.
  Config(R"({"torch_dtype": "bfloat16"})");
  ASSERT_TRUE(Write("fp32").ok());
  EXPECT_EQ(WrittenConfig(), json({{"torch_dtype", "float32"}}));
  Config("{}");
  ASSERT_TRUE(Write("fp32").ok());
  EXPECT_EQ(WrittenConfig(), json({{"torch_dtype", "float32"}}));
}

TEST_F(CasesWriteModel, ATrueConfigKeepsItsBytesAndMixedWeightsAreTheWidest) {
  Plain(DType::kBF16);
  ASSERT_TRUE(Write().ok());
  EXPECT_EQ(*ReadFile(dir_ / "out/config.json"), *ReadFile(dir_ / "m/config.json"));
  Plain(DType::kF32);
  ASSERT_TRUE(Write().ok());
  EXPECT_EQ(WrittenConfig()["dtype"], "float32");
  Plain(DType::kF16);  // Beside an embedding in bf16: neither holds the other's values.
  ASSERT_TRUE(Write().ok());
  EXPECT_EQ(WrittenConfig()["dtype"], "float32");
}

// 144
TEST_F(CasesWriteModel, AFullFineTuningLeavesAWholeModelThatSaysFloat32) {
  Plain(DType::kBF16);
  ASSERT_TRUE(WriteFileDurably(dir_ / "m/tokenizer.json", "{}").ok());
  int64_t told = 0;
  const auto written = WriteTrainedModel({.model = dir_ / "m",
                                          .out = dir_ / "out",
                                          .text = {"chatml", "whole", "full", ""},
                                          .progress = [&](int64_t bytes) { told = bytes; }},
                                         *params::MakeStore({{kProjection, projection_}}));
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_TRUE(torch::equal(Written(kProjection, DType::kF32), projection_));
  EXPECT_EQ(WrittenConfig()["dtype"], "float32");
  EXPECT_EQ(ReadTextConfig(dir_ / "out")->template_name, "chatml");
  EXPECT_TRUE(fs::exists(dir_ / "out/tokenizer.json"));
  EXPECT_GE(told, written->bytes);
}

// 151, 154
TEST_F(CasesWriteModel, AdaptersOfAnyTargetsAreMergedByTheirTensorsNames) {
  Plain(DType::kF32);
  fs::create_directories(dir_ / "a");
  ASSERT_TRUE(WriteFileDurably(dir_ / "a/adapter_config.json",
                               R"({"r": 2, "lora_alpha": 4, "target_modules": ".*q_proj"})")
                  .ok());
  const torch::Tensor a = torch::randn({2, 64}), b = torch::randn({64, 2});
  const auto merge = [&](const std::string& module) {
    File()
        .Add("base_model.model." + module + ".lora_A.weight", DType::kF32, a)
        .Add("base_model.model." + module + ".lora_B.weight", DType::kF32, b)
        .Write(dir_ / "a/adapter_model.safetensors");
    fs::remove_all(dir_ / "out");
    return WriteModel({.model = dir_ / "m", .adapter = dir_ / "a", .out = dir_ / "out"});
  };
  const auto written = merge("model.layers.0.self_attn.q_proj");
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->merged, 1);
  EXPECT_TRUE(torch::allclose(Written(kProjection, DType::kF32), projection_ + 2 * torch::matmul(b, a)));
  EXPECT_THAT(std::string(Message(merge("lm_head").status())), HasSubstr("no weight lm_head.weight"));
  Config(R"({"tie_word_embeddings": true})");
  EXPECT_THAT(std::string(Message(merge("lm_head").status())),
              AllOf(HasSubstr("changes lm_head"), HasSubstr("tie_word_embeddings")));
  EXPECT_THAT(std::string(Message(merge("model.layers.7.self_attn.q_proj").status())),
              HasSubstr("no weight model.layers.7"));
}

// DoRA brings rows to their magnitudes, patterns and rank-stabilised scaling say by how much, and what was trained whole takes the
// weight's place.
TEST_F(CasesWriteModel, KindsOfAdaptersAreMergedAsTheyCompute) {
  Plain(DType::kF32);
  Config(
      R"({"model_type": "llama", "dtype": "bfloat16", "vocab_size": 6, "hidden_size": 64, "num_hidden_layers": 1,
             "num_attention_heads": 1, "intermediate_size": 64})");
  fs::create_directories(dir_ / "a");
  ASSERT_TRUE(WriteFileDurably(dir_ / "a/adapter_config.json",
                               R"({"r": 8, "lora_alpha": 4, "target_modules": ["q_proj"], "use_dora": true,
                                   "use_rslora": true, "alpha_pattern": {"q_proj": 3}, "rank_pattern": {"q_proj": 2},
                                   "modules_to_save": ["embed_tokens"]})")
                  .ok());
  const torch::Tensor a = torch::randn({2, 64}), b = torch::randn({64, 2}), m = torch::rand({64}),
                      embedding = torch::randn({6, 64});
  const std::string module = "base_model.model.model.layers.0.self_attn.q_proj";
  File()
      .Add(module + ".lora_A.weight", DType::kF32, a)
      .Add(module + ".lora_B.weight", DType::kF32, b)
      .Add(module + ".lora_magnitude_vector", DType::kF32, m)
      .Add("base_model.model.model.embed_tokens.weight", DType::kF32, embedding)
      .Write(dir_ / "a/adapter_model.safetensors");
  const auto written =
      WriteModel({.model = dir_ / "m", .adapter = dir_ / "a", .out = dir_ / "out", .dtype = "fp32"});
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->merged, 2);
  const torch::Tensor sum = projection_ + 3 / std::sqrt(2.0) * torch::matmul(b, a);
  EXPECT_TRUE(torch::allclose(Written(kProjection, DType::kF32), sum * (m / sum.norm(2, {1})).unsqueeze(1)));
  EXPECT_TRUE(torch::equal(Written("model.embed_tokens.weight", DType::kF32), embedding));
  // A head that is the embedding and is stored as well goes with it, once the adapter says that it is both.
  const std::string sizes =
      R"("vocab_size": 6, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1,
                               "intermediate_size": 64)";
  Config(StrCat("{\"model_type\": \"llama\", \"tie_word_embeddings\": true, ", sizes, "}"));
  File()
      .Add("lm_head.weight", DType::kBF16, embedding_)
      .Add("model.embed_tokens.weight", DType::kBF16, embedding_)
      .Write(dir_ / "m/model.safetensors");
  File()
      .Add("base_model.model.model.embed_tokens.weight", DType::kF32, embedding)
      .Write(dir_ / "a/adapter_model.safetensors");
  const auto merge = [&](const char* tying) {
    EXPECT_TRUE(WriteFileDurably(
                    dir_ / "a/adapter_config.json",
                    StrCat(R"({"r": 8, "lora_alpha": 4, "modules_to_save": ["embed_tokens"])", tying, "}"))
                    .ok());
    fs::remove_all(dir_ / "out");
    return WriteModel({.model = dir_ / "m", .adapter = dir_ / "a", .out = dir_ / "out", .dtype = "fp32"})
        .status();
  };
  EXPECT_THAT(std::string(Message(merge(""))), HasSubstr("the adapter has an embedding of its own"));
  ASSERT_TRUE(merge(R"(, "ensure_weight_tying": true)").ok());
  EXPECT_TRUE(torch::equal(Written("model.embed_tokens.weight", DType::kF32), embedding));
  EXPECT_TRUE(torch::equal(Written("lm_head.weight", DType::kF32), embedding));
}

}  // namespace
}  // namespace ft::checkpoint
