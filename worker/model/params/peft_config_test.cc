#include "worker/model/params/peft_config.h"
#include "gtest/gtest.h"

namespace ft::params {
namespace {

TEST(PeftConfig, WhatIsWrittenIsReadBack) {
  const PeftConfig written{
      .rank = 16, .alpha = 32, .dropout = 0.05, .targets = {"v_proj", "k_proj"}, .base_model = "b"};
  const auto read = ParsePeftConfig(PeftConfigJson(written), "f");
  ASSERT_TRUE(read.ok()) << Message(read.status());
  EXPECT_EQ(read->rank, 16);
  EXPECT_EQ(read->alpha, 32);
  EXPECT_EQ(read->dropout, 0.05);
  EXPECT_EQ(read->targets, (std::vector<std::string>{"k_proj", "v_proj"}));
  EXPECT_EQ(read->base_model, "b");
}

TEST(PeftConfig, OptionsThatChangeTheResultAreRefusedByName) {
  const std::string head = R"({"r": 4, "lora_alpha": 8, "target_modules": ["q_proj"], )";
  for (const char* option :
       {"\"use_qalora\": true", "\"trainable_token_indices\": [3]", "\"bias\": \"all\""}) {
    const auto config = ParsePeftConfig(head + option + "}", "f");
    EXPECT_EQ(config.status().code(), absl::StatusCode::kUnimplemented) << option;
  }
  EXPECT_TRUE(
      ParsePeftConfig(head + "\"use_dora\": false, \"rank_pattern\": {}, \"bias\": \"none\"}", "f").ok());
}

TEST(PeftConfig, KindsOfAdaptersAreWrittenAsTheyAreRead) {
  const PeftConfig written{.rank = 4,
                           .alpha = 8,
                           .kind = {.use_rslora = true,
                                    .use_dora = true,
                                    .rank_pattern = {{"z_proj", 2}, {"a.*", 16}},
                                    .alpha_pattern = {{"layers.1.q_proj", 0.5}},
                                    .modules_to_save = {"lm_head"},
                                    .ensure_weight_tying = true},
                           .targets = {"q_proj"}};
  const auto read = ParsePeftConfig(PeftConfigJson(written), "f");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->kind, written.kind);
  const std::string head = R"({"r": 4, "lora_alpha": 8, )";
  for (const char* wrong :
       {R"("rank_pattern": {"q": 2.5})", R"("rank_pattern": {"q": 2000})", R"("rank_pattern": [1])",
        R"("alpha_pattern": {"q": "x"})", R"("alpha_pattern": {"q": 0})", R"("modules_to_save": "lm_head")",
        R"("modules_to_save": [1])"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParsePeftConfig(head + wrong + "}", "f").status())) << wrong;
  }
}

// 151, and configurations without targets: the tensors' names say what is changed.
TEST(CasesPeftConfig, RegularExpressionsWholeNamesAndNoTargetsAreRead) {
  const std::string head = R"({"r": 4, "lora_alpha": 8)";
  EXPECT_EQ(ParsePeftConfig(head + R"x(, "target_modules": ".*\\.(q_proj|v_proj)"})x", "f")->targets,
            (std::vector<std::string>{R"x(.*\.(q_proj|v_proj))x"}));
  EXPECT_EQ(ParsePeftConfig(head + R"(, "target_modules": ["model.layers.0.self_attn.q_proj"]})", "f")
                ->targets.size(),
            1u);
  const auto none = ParsePeftConfig(head + R"(, "target_modules": null})", "f");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_TRUE(none->targets.empty());
  EXPECT_TRUE(ParsePeftConfig(PeftConfigJson(*none), "f").ok());
  EXPECT_TRUE(
      ParsePeftConfig(head + R"(, "exclude_modules": ["lm_head"], "layers_to_transform": [1]})", "f").ok());
  const auto biases = ParsePeftConfig(head + R"(, "bias": "all"})", "f");
  EXPECT_NE(Message(biases.status()).find("merge_and_unload"), std::string_view::npos);
}

TEST(PeftConfig, BrokenFilesAreRefused) {
  for (const char* text : {"", "[]", "{}", R"({"r": 0, "lora_alpha": 1, "target_modules": ["a"]})",
                           R"({"r": 4294967300, "lora_alpha": 1, "target_modules": ["a"]})",
                           R"({"r": 4, "lora_alpha": 1, "target_modules": []})",
                           R"({"r": 4, "lora_alpha": 1, "target_modules": [3]})",
                           R"({"peft_type": "IA3", "r": 4, "lora_alpha": 1, "target_modules": ["a"]})"}) {
    EXPECT_FALSE(ParsePeftConfig(text, "f").ok()) << text;
  }
}

}  // namespace
}  // namespace ft::params
