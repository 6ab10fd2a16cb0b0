// What --model and --adapter mean together, and which base an answer is over.
#include "worker/rank/load_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/plan/config_shape.h"
#include "core/recipe/supported.h"
#include "tests/support/temp_dir.h"
#include "worker/model/decoder/family.h"
#include "worker/model/run/packed_rows.h"
#include "worker/rank/base.h"

namespace ft::rank {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class CasesTrained : public ::testing::Test {
 protected:
  CasesTrained() {
    Put("base/config.json", "{}");
    Put("whole/config.json", "{}");
    Put("whole/finetuned.json", R"({"template": "vicuna", "method": "full"})");
  }
  void Put(const std::string& name, const std::string& text) {
    ASSERT_TRUE(MakeDirectories((dir_ / name).parent_path()).ok());
    ASSERT_TRUE(WriteFileDurably(dir_ / name, text).ok());
  }
  void Adapter(const std::string& base, const std::string& method = "") {
    Put("a/adapter_config.json",
        StrCat(R"({"r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "base_model_name_or_path": ")",
               base, "\"}"));
    if (!method.empty()) Put("a/finetuned.json", StrCat(R"({"method": ")", method, "\"}"));
  }
  std::string At(const std::string& name) { return (dir_ / name).string(); }
  std::string Refusal(const std::string& model, const std::string& adapter) {
    return std::string(Message(ResolveTrained(model, adapter).status()));
  }
  ft::testing::TempDir dir_;
};

// 144: a full fine-tuning's result is what is loaded; its base may be gone.
TEST_F(CasesTrained, AWholeModelNeedsNoBase) {
  const auto trained = ResolveTrained(At("gone"), At("whole"));
  ASSERT_TRUE(trained.ok()) << trained.status();
  EXPECT_EQ(trained->model, dir_ / "whole");
  EXPECT_TRUE(trained->whole());
  EXPECT_EQ(trained->text.template_name, "vicuna");
  EXPECT_EQ(ResolveTrained(At("whole"), "")->text.template_name, "vicuna");
  EXPECT_EQ(ResolveTrained(At("base"), "")->text.template_name, "model");
}

// 160
TEST_F(CasesTrained, ABaseOnAHubIsNamedWithWhatToDo) {
  Adapter("meta-llama/Llama-2-7b-hf");
  for (const std::string& model : {std::string(), std::string("meta-llama/Llama-2-7b-hf")}) {
    EXPECT_THAT(Refusal(model, At("a")), AllOf(HasSubstr("names meta-llama/Llama-2-7b-hf as its base"),
                                               HasSubstr("a name on a model hub"), HasSubstr("--model DIR")));
  }
  const auto given = ResolveTrained(At("base"), At("a"));
  ASSERT_TRUE(given.ok()) << given.status();
  EXPECT_EQ(given->model, dir_ / "base");
  EXPECT_FALSE(given->whole());
}

TEST_F(CasesTrained, ABaseThatIsNotThereIsNamed) {
  Adapter(At("moved"));
  EXPECT_THAT(Refusal("", At("a")), AllOf(HasSubstr("where there is nothing"), HasSubstr("--model DIR")));
  EXPECT_THAT(Refusal(At("other"), At("a")), HasSubstr(StrCat("there is no model at ", At("other"))));
  Adapter("");
  EXPECT_THAT(Refusal("", At("a")), HasSubstr("names no base"));
  Adapter(At("base"));
  EXPECT_EQ(ResolveTrained("", At("a"))->model, dir_ / "base");
}

// An adapter answers alike everywhere only over the base it was trained over.
TEST_F(CasesTrained, TheBaseIsTheOneOfTheTraining) {
  const auto base = [&](const std::string& word) {
    const auto trained = ResolveTrained("", At("a"));
    EXPECT_TRUE(trained.ok()) << trained.status();
    const auto flags = Flags::Parse({"--base", word}, {"base"}, {});
    return *BaseOf(*flags, *trained);
  };
  const auto said = [&](params::BaseKind which) { return BaseSentence(which, *ResolveTrained("", At("a"))); };
  Adapter(At("base"), "qlora");
  EXPECT_EQ(base("auto"), params::BaseKind::kNf4);
  EXPECT_EQ(base("stored"), params::BaseKind::kStored);
  EXPECT_THAT(said(params::BaseKind::kNf4),
              AllOf(HasSubstr(At("base")), HasSubstr("4 bits (NF4), as in training")));
  EXPECT_THAT(said(params::BaseKind::kStored),
              HasSubstr("as stored, not as in training: answers may differ"));
  Adapter(At("base"), "lora");
  EXPECT_EQ(base("auto"), params::BaseKind::kStored);
  EXPECT_EQ(base("dequantised"), params::BaseKind::kNf4);
  EXPECT_THAT(said(params::BaseKind::kStored), HasSubstr("as stored, as in training"));
  const auto flags = Flags::Parse({"--base", "nf4"}, {"base"}, {});
  EXPECT_THAT(std::string(Message(BaseOf(*flags, {}).status())),
              HasSubstr("none of: auto, stored, dequantised"));
}

// Any model can be asked for in 4 or 8 bits.
TEST_F(CasesTrained, BitsTakeThePlaceOfTheBase) {
  const auto bits = [&](const std::vector<std::string>& arguments) {
    return BaseOf(*Flags::Parse(arguments, {"base", "bits"}, {}), Trained{.model = At("base")});
  };
  EXPECT_EQ(*bits({"--bits", "4"}), params::BaseKind::kNf4);
  EXPECT_EQ(*bits({"--bits", "8"}), params::BaseKind::kInt8);
  EXPECT_THAT(std::string(Message(bits({"--bits", "5"}).status())), HasSubstr("--bits '5' is none of: 4, 8"));
  EXPECT_THAT(std::string(Message(bits({"--bits", "4", "--base", "stored"}).status())),
              HasSubstr("--bits stands beside --base: give one of the two"));
  // Both forms come down to the same slots, of a plain model too.
  const auto answer = [&](params::BaseKind base) {
    const auto model =
        LoadTrained({.model = fs::path(FT_SOURCE_DIR) / "tests/golden/llama_mha"}, {.base = base});
    EXPECT_TRUE(model.ok()) << model.status();
    const std::vector<int32_t> ids = {1, 5, 9, 30};
    const std::vector<run::RowsSample> samples = {{.ids = ids}};
    return (*model)->Logits(run::PackRows(samples, 0, 0));
  };
  const at::Tensor stored = answer(params::BaseKind::kStored);
  const auto distance = [&](params::BaseKind base) {
    return (answer(base) - stored).abs().max().item<double>() / stored.abs().max().item<double>();
  };
  const double of_4 = distance(params::BaseKind::kNf4), of_8 = distance(params::BaseKind::kInt8);
  EXPECT_GT(of_4, of_8);
  EXPECT_GT(of_8, 0);
  EXPECT_LT(of_8, 0.02);
  EXPECT_LT(of_4, 0.3);
}

TEST(OrdinaryLoading, GivesASignOfLifeForEachTensor) {
  int signs = 0;
  const auto model = LoadModel(fs::path(FT_SOURCE_DIR) / "tests/golden/llama_mha", {}, [&] { ++signs; });
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_GE(signs, 2 * 9 + 3);
}

TEST(ShapeOf, TargetsAreCountedByTheNamesOfTheLayout) {
  const auto config = model::ParseConfig(
      R"({"model_type": "llama", "vocab_size": 100, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6,
          "num_key_value_heads": 2, "intermediate_size": 80})",
      "config.json");
  ASSERT_TRUE(config.ok()) << config.status();
  const plan::ModelShape shape = ShapeOf(*config);
  ASSERT_EQ(shape.projections.size(), 7u);
  EXPECT_EQ(shape.projections[1].name, "k_proj");
  EXPECT_EQ(shape.projections[1].outputs, 16);
  EXPECT_EQ(plan::TrainableParameters(shape, {.kind = "lora", .rank = 4, .targets = {"down_proj"}}),
            2 * 4 * (80 + 48));
}

// What a plan without a model counts by config.json alone is what the model's layout has.
TEST(ShapeOf, IsWhatAPlanWithoutAModelCounts) {
  constexpr const char* kSizes =
      R"("vocab_size": 100, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6, "intermediate_size": 80)";
  const std::pair<const char*, const char*> configs[] = {
      {"llama", R"(, "num_key_value_heads": 2, "attention_bias": true)"},
      {"mistral", R"(, "num_key_value_heads": 2, "sliding_window": 7)"},
      {"qwen", R"(, "no_bias": true)"},
      {"qwen2", R"(, "num_key_value_heads": 3, "tie_word_embeddings": true)"},
      {"qwen3", R"(, "head_dim": 16)"},
      {"internlm", ""},
      {"internlm2", R"(, "num_key_value_heads": 2)"},
      {"baichuan", R"(, "model_max_length": 64)"},
      {"chatglm",
       R"(, "padded_vocab_size": 100, "num_layers": 2, "ffn_hidden_size": 80, "add_qkv_bias": true, "kv_channels": 8,
           "multi_query_attention": true, "multi_query_group_num": 2)"},
      {"gpt_bigcode", R"(, "n_embd": 48, "n_layer": 2, "n_head": 6, "n_positions": 64)"},
      {"gemma", R"(, "num_key_value_heads": 1)"},
      {"gemma2", R"(, "head_dim": 8, "num_key_value_heads": 2)"},
      {"phi3", R"(, "num_key_value_heads": 2)"},
      {"mixtral", R"(, "num_key_value_heads": 2, "num_local_experts": 3)"},
      {"qwen3_moe",
       R"(, "num_key_value_heads": 2, "num_hidden_layers": 5, "num_experts": 4, "num_experts_per_tok": 2,
           "moe_intermediate_size": 16, "decoder_sparse_step": 2, "mlp_only_layers": [0, 3, 7])"},
      {"deepseek",
       R"(, "n_routed_experts": 4, "n_shared_experts": 2, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
           "num_hidden_layers": 5, "first_k_dense_replace": 1, "moe_layer_freq": 2)"},
      {"deepseek_v2",
       R"(, "n_routed_experts": 4, "n_shared_experts": 2, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
           "first_k_dense_replace": 1, "kv_lora_rank": 20, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4,
           "v_head_dim": 6)"},
      {"gpt_oss", R"(, "num_key_value_heads": 2, "num_local_experts": 5)"},
      {"gemma3_text", R"(, "head_dim": 8, "num_key_value_heads": 2)"},
      {"gemma3", R"(, "text_config": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3})"},
      {"gemma4_text", R"(, "head_dim": 8, "global_head_dim": 16, "num_key_value_heads": 2,
           "layer_types": ["sliding_attention", "sliding_attention"])"},
      {"gemma4",
       R"(, "text_config": {"vocab_size": 100, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6,
           "intermediate_size": 80, "head_dim": 8, "num_key_value_heads": 2,
           "layer_types": ["sliding_attention", "sliding_attention"]})"},
      {"glm4", R"(, "head_dim": 8, "num_key_value_heads": 2, "attention_bias": true)"},
      {"granite", R"(, "num_key_value_heads": 2)"},
      {"olmo2", R"(, "num_key_value_heads": 2)"},
      {"olmo3", R"(, "num_key_value_heads": 3)"},
      {"smollm3", R"(, "num_key_value_heads": 2)"}};
  EXPECT_EQ(std::size(configs), recipe::Families().size());
  for (const auto& [family, more] : configs) {
    const std::string json = StrCat("{\"model_type\": \"", family, "\", ", kSizes, more, "}");
    const auto config = model::ParseConfig(json, "config.json");
    ASSERT_TRUE(config.ok()) << family << ": " << config.status();
    const auto counted = plan::ShapeOfConfig(json, "config.json");
    ASSERT_TRUE(counted.ok()) << counted.status();
    const plan::ModelShape shape = ShapeOf(*config);
    EXPECT_EQ(plan::ParameterCount(shape), plan::ParameterCount(counted->shape)) << family;
    for (const char* method : {"lora", "full"}) {
      const recipe::MethodSpec spec{.kind = method, .rank = 4, .targets = {"all_linear"}};
      EXPECT_EQ(plan::TrainableParameters(shape, spec), plan::TrainableParameters(counted->shape, spec))
          << family << " " << method;
    }
  }
}

}  // namespace
}  // namespace ft::rank
