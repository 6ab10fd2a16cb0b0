#include "worker/model/decoder/family.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "worker/model/decoder/decoder.h"
#include "worker/model/decoder/family_llama.h"
#include "worker/model/decoder/rope_angles.h"

namespace ft::model {
namespace {

constexpr std::string_view kSmall =
    R"("model_type": "llama", "vocab_size": 100, "hidden_size": 48, "num_hidden_layers": 2,
       "num_attention_heads": 6, "intermediate_size": 80)";

StatusOr<DecoderConfig> Parse(std::string_view more) {
  return ParseConfig(StrCat("{", kSmall, more, "}"), "config.json");
}

TEST(Llama, DefaultsAreThoseOfOldConfigFiles) {
  const auto config = Parse("");
  ASSERT_TRUE(config.ok()) << Message(config.status());
  EXPECT_EQ(config->key_heads, 6);
  EXPECT_EQ(config->head_size, 8);
  EXPECT_EQ(config->rope_theta, 10000);
  EXPECT_EQ(config->norm_epsilon, 1e-6);
  EXPECT_EQ(config->rope_scaling.kind, RopeScaling::Kind::kNone);
  EXPECT_FALSE(config->tied_head || config->qkv_bias || config->output_bias || config->mlp_bias);
}

TEST(Llama, EveryChoiceIsRead) {
  const auto config = Parse(
      R"(, "num_key_value_heads": 2, "head_dim": 10, "rope_theta": 5e5, "attention_bias": true, "mlp_bias": true,
         "tie_word_embeddings": true, "rope_scaling": {"type": "linear", "factor": 4.0})");
  ASSERT_TRUE(config.ok()) << Message(config.status());
  EXPECT_EQ(config->key_heads, 2);
  EXPECT_EQ(config->head_size, 10);
  EXPECT_TRUE(config->tied_head && config->qkv_bias && config->output_bias && config->mlp_bias);
  EXPECT_EQ(config->rope_scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(config->rope_scaling.factor, 4);
}

TEST(Llama, RopeParametersOfNewFilesAreRead) {
  const auto config = Parse(R"(, "rope_parameters": {"rope_type": "default", "rope_theta": 77777.0})");
  ASSERT_TRUE(config.ok()) << Message(config.status());
  EXPECT_EQ(config->rope_theta, 77777);
}

struct Refusal {
  const char* more;
  absl::StatusCode code;
  const char* names;
};

TEST(Llama, WhatCannotBeRunIsRefusedByName) {
  const Refusal cases[] = {
      {R"(, "rope_scaling": {"rope_type": "yarn", "factor": 2.0})", absl::StatusCode::kUnimplemented, "yarn"},
      {R"(, "rope_scaling": {"type": "linear"})", absl::StatusCode::kInvalidArgument, "factor"},
      {R"(, "hidden_act": "gelu")", absl::StatusCode::kUnimplemented, "gelu"},
      {R"(, "num_key_value_heads": 4)", absl::StatusCode::kInvalidArgument, "num_key_value_heads"},
      {R"(, "head_dim": 7)", absl::StatusCode::kInvalidArgument, "head_dim"},
      {R"(, "num_key_value_heads": "2")", absl::StatusCode::kInvalidArgument, "num_key_value_heads"},
      {R"(, "max_position_embeddings": 0)", absl::StatusCode::kInvalidArgument, "max_position_embeddings"},
      {R"(, "rope_theta": -1)", absl::StatusCode::kInvalidArgument, "rope_theta"},
  };
  for (const Refusal& c : cases) {
    const auto config = Parse(c.more);
    ASSERT_FALSE(config.ok()) << c.more;
    EXPECT_EQ(config.status().code(), c.code) << c.more;
    EXPECT_NE(Message(config.status()).find(c.names), std::string_view::npos) << Message(config.status());
    EXPECT_NE(Message(config.status()).find("config.json"), std::string_view::npos);
  }
}

TEST(Family, UnknownFamiliesAndBrokenFilesAreRefused) {
  const auto unknown = ParseConfig(R"({"model_type": "gemma2"})", "f");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(Message(unknown.status()).find("gemma2"), std::string_view::npos);
  for (const char* text : {"", "[]", "{", "{}", R"({"model_type": 3})", R"({"model_type": "llama"})"}) {
    EXPECT_FALSE(ParseConfig(text, "f").ok()) << text;
  }
  EXPECT_FALSE(ParseConfig(std::string(100000, '['), "f").ok());
  EXPECT_FALSE(ParseConfig(std::string(size_t{2} << 20, ' '), "f").ok());
}

TEST(Family, WeightsThatCarryNothingHaveNoName) {
  DecoderConfig config;
  config.family = "llama";
  EXPECT_EQ(LayoutName(config, "model.layers.0.self_attn.rotary_emb.inv_freq"), "");
  EXPECT_EQ(LayoutName(config, "lm_head.weight"), "lm_head.weight");
  config.tied_head = true;
  EXPECT_EQ(LayoutName(config, "lm_head.weight"), "");
}

TEST(RopeAngles, OnlyDynamicScalingLooksAtTheLengthAndOnlyBeyondTheMaximum) {
  auto config =
      Parse(R"(, "max_position_embeddings": 40, "rope_scaling": {"type": "dynamic", "factor": 2.0})");
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(InverseFrequencies(*config, 1), InverseFrequencies(*config, 40));
  EXPECT_FALSE(AnglesDiffer(*config, 1, 40));
  EXPECT_TRUE(AnglesDiffer(*config, 40, 41));
  EXPECT_TRUE(AnglesDiffer(*config, 41, 42));
  config->rope_scaling.kind = RopeScaling::Kind::kLinear;
  EXPECT_FALSE(AnglesDiffer(*config, 40, 4000));
}

TEST(Family, ALlamaWithOtherNamesIsItsNames) {
  const auto config = Parse(R"(, "tie_word_embeddings": true)");
  const WeightNames names{
      .embedding = "wte", .blocks = "h.", .attention_norm = "ln_1", .final_norm = "ln_f", .head = "out"};
  const Layout layout = LlamaLayout(*config, names);
  EXPECT_EQ(layout.front().name, "wte.weight");
  EXPECT_EQ(layout[1].name, "h.0.ln_1.weight");
  EXPECT_EQ(layout[3].name, "h.0.self_attn.q_proj.weight");
  EXPECT_EQ(layout.back().name, "ln_f.weight");
  EXPECT_EQ(LlamaLayoutName(*config, names, "out.weight"), "");
  EXPECT_EQ(LlamaLayoutName(*config, names, "lm_head.weight"), "lm_head.weight");
  EXPECT_TRUE(IsWithinLlama(*config, names, "h.1.extra"));
  EXPECT_FALSE(IsWithinLlama(*config, names, "h.2.extra"));
  EXPECT_FALSE(IsWithinLlama(*config, names, "model.layers.0.extra"));
}

TEST(Family, TheLayoutFollowsTheChoices) {
  const auto plain = Parse(R"(, "tie_word_embeddings": true)"), biased = Parse(R"(, "attention_bias": true)");
  EXPECT_EQ(LayoutOf(*plain).size(), 1 + 2 * 9 + 1u);
  EXPECT_EQ(LayoutOf(*biased).size(), 1 + 2 * 13 + 2u);
}

}  // namespace
}  // namespace ft::model
