#include "core/plan/config_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ft::plan {
namespace {

using testing::HasSubstr;

ModelShape Shape(std::string_view config) {
  const auto found = ShapeOfConfig(config, "config.json");
  EXPECT_TRUE(found.ok()) << found.status();
  return found.ok() ? found->shape : ModelShape();
}

std::string ErrorOf(std::string_view config) {
  return std::string(Message(ShapeOfConfig(config, "m/config.json").status()));
}

// Counted by hand for one block of each layout, with a vocabulary of 10 and no tied head.
TEST(ConfigShapeTest, CountsEveryWeightOfEachLayout) {
  const int64_t ends = 2 * 10 * 8, norms = 3 * 8, mlp = 3 * 8 * 12;
  EXPECT_EQ(ParameterCount(
                Shape(R"({"model_type": "llama", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 12})")),
            ends + norms + mlp + 2 * 64 + 2 * 8 * 4);
  EXPECT_EQ(ParameterCount(Shape(
                R"({"model_type": "internlm", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 12, "bias": true})")),
            ends + norms + mlp + 4 * 64 + 4 * 8);
  EXPECT_EQ(ParameterCount(Shape(
                R"({"model_type": "baichuan", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 12})")),
            ends + norms + mlp + 4 * 64);
  EXPECT_EQ(ParameterCount(
                Shape(R"({"model_type": "qwen", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 24, "kv_channels": 4})")),
            ends + norms + mlp + 4 * 64 + 3 * 8);
  EXPECT_EQ(ParameterCount(
                Shape(R"({"model_type": "chatglm", "padded_vocab_size": 10, "hidden_size": 8, "num_layers": 1,
    "num_attention_heads": 2, "ffn_hidden_size": 12, "kv_channels": 4, "multi_query_attention": true,
    "multi_query_group_num": 1, "add_qkv_bias": true})")),
            ends + norms + mlp + 2 * 64 + 2 * 8 * 4 + 16);
  EXPECT_EQ(ParameterCount(Shape(
                R"({"model_type": "gpt_bigcode", "vocab_size": 10, "n_embd": 8, "n_layer": 1, "n_head": 2,
    "n_inner": 32, "n_positions": 5})")),
            10 * 8 + 5 * 8 + 2 * norms + 2 * 64 + 2 * 8 * 4 + 2 * 8 * 32 + 16 + 8 + 32 + 8);
}

TEST(ConfigShapeTest, AdaptersGoByStoredNames) {
  const ModelShape starcoder =
      Shape(R"({"model_type": "gpt_bigcode", "vocab_size": 10, "n_embd": 8, "n_layer": 1, "n_head": 2,
    "n_inner": 32, "n_positions": 5})");
  // c_attn and both that are called c_proj; q_attn is not there.
  EXPECT_EQ(
      TrainableParameters(starcoder, {.kind = "qlora", .rank = 2, .targets = {"c_proj", "c_attn", "q_attn"}}),
      2 * ((8 + 16) + (8 + 8) + (32 + 8)));
  const ModelShape baichuan =
      Shape(R"({"model_type": "baichuan", "vocab_size": 10, "hidden_size": 8, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 12})");
  EXPECT_EQ(TrainableParameters(baichuan, {.kind = "qlora", .rank = 1, .targets = {"W_pack"}}), 8 + 24);
}

TEST(ConfigShapeTest, WhatMakesNoSenseIsNamed) {
  EXPECT_THAT(ErrorOf("{"), HasSubstr("m/config.json: not a JSON object"));
  EXPECT_THAT(ErrorOf(std::string(100, '[')), HasSubstr("not a JSON object"));
  EXPECT_THAT(ErrorOf("{}"), HasSubstr("m/config.json: has no vocab_size"));
  EXPECT_THAT(ErrorOf(R"({"vocab_size": -3})"), HasSubstr("vocab_size is no size"));
  EXPECT_THAT(ErrorOf(R"({"vocab_size": 1e300})"), HasSubstr("vocab_size is no size"));
  EXPECT_THAT(
      ErrorOf(R"({"vocab_size": 10, "hidden_size": 10, "num_hidden_layers": 1, "num_attention_heads": 3,
    "intermediate_size": 12})"),
      HasSubstr("has a width of 10 and 3 heads, which do not divide it"));
}

}  // namespace
}  // namespace ft::plan
