#include "worker/model/decoder/family.h"

#include <cmath>
#include <string>
#include <string_view>

#include "core/recipe/supported.h"
#include "gtest/gtest.h"
#include "worker/model/decoder/decoder.h"
#include "worker/model/decoder/families.h"
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
  EXPECT_EQ(config->rotaries.front().theta, 10000);
  EXPECT_EQ(config->norm_epsilon, 1e-6);
  EXPECT_EQ(config->rotaries.front().scaling.kind, RopeScaling::Kind::kNone);
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
  EXPECT_EQ(config->rotaries.front().scaling.kind, RopeScaling::Kind::kLinear);
  EXPECT_EQ(config->rotaries.front().scaling.factor, 4);
}

TEST(Llama, RopeParametersOfNewFilesAreRead) {
  const auto config = Parse(R"(, "rope_parameters": {"rope_type": "default", "rope_theta": 77777.0})");
  ASSERT_TRUE(config.ok()) << Message(config.status());
  EXPECT_EQ(config->rotaries.front().theta, 77777);
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
      {R"(, "hidden_act": "relu2")", absl::StatusCode::kUnimplemented, "relu2"},
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

TEST(Family, TheTableHasWhatIsSaidToBeSupported) {
  for (const std::string_view family : recipe::Families()) EXPECT_NE(FindFamily(family), nullptr) << family;
}

TEST(Family, UnknownFamiliesAndBrokenFilesAreRefused) {
  const auto unknown = ParseConfig(R"({"model_type": "qwen22"})", "f");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(
      Message(unknown.status())
          .find("f: model family \"qwen22\" is not supported by this version, the nearest that is: qwen2"),
      std::string_view::npos)
      << Message(unknown.status());
  const auto far = ParseConfig(R"({"model_type": "some-other-thing"})", "f");
  EXPECT_NE(Message(far.status()).find("is not supported by this version (supported: llama, "),
            std::string_view::npos)
      << Message(far.status());
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
  EXPECT_EQ(LayoutName(config, "transformer.rotary_pos_emb.inv_freq"), "");
  EXPECT_EQ(LayoutName(config, "lm_head.weight"), "lm_head.weight");
  config.tied_head = true;
  EXPECT_EQ(LayoutName(config, "lm_head.weight"), "");
}

TEST(RopeAngles, OnlyDynamicScalingLooksAtTheLengthAndOnlyBeyondTheMaximum) {
  auto config =
      Parse(R"(, "max_position_embeddings": 40, "rope_scaling": {"type": "dynamic", "factor": 2.0})");
  ASSERT_TRUE(config.ok());
  Rotary& rotary = config->rotaries.front();
  for (const Mode mode : {Mode::kTraining, Mode::kInference}) {
    EXPECT_EQ(InverseFrequencies(*config, rotary, 1, mode), InverseFrequencies(*config, rotary, 40, mode));
    EXPECT_FALSE(AnglesDiffer(*config, 1, 40, mode));
    EXPECT_TRUE(AnglesDiffer(*config, 40, 41, mode));
    EXPECT_TRUE(AnglesDiffer(*config, 41, 42, mode));
  }
  rotary.scaling.kind = RopeScaling::Kind::kLinear;
  EXPECT_FALSE(AnglesDiffer(*config, 40, 4000, Mode::kInference));
}

TEST(RopeAngles, SteppedScalingGrowsByPowersOfTwoOutsideTrainingOnly) {
  auto config = Parse(R"(, "max_position_embeddings": 40)");
  ASSERT_TRUE(config.ok());
  config->rotaries.front().scaling.kind = RopeScaling::Kind::kStepped;
  EXPECT_FALSE(AnglesDiffer(*config, 1, 4000, Mode::kTraining));
  EXPECT_FALSE(AnglesDiffer(*config, 1, 40, Mode::kInference));
  EXPECT_TRUE(AnglesDiffer(*config, 40, 41, Mode::kInference));
  EXPECT_FALSE(AnglesDiffer(*config, 41, 80, Mode::kInference));
  EXPECT_TRUE(AnglesDiffer(*config, 80, 81, Mode::kInference));
  // a = 2^ceil(log2(60 / 40) + 1) - 1 = 3; theta is multiplied by a^(8 / 6).
  const std::vector<float> angles =
      InverseFrequencies(*config, config->rotaries.front(), 60, Mode::kInference);
  EXPECT_FLOAT_EQ(angles[1], static_cast<float>(std::pow(10000 * std::pow(3.0, 8.0 / 6.0), -2.0 / 8.0)));
}

TEST(RopeAngles, SlopesOfHeadsThatAreNoPowerOfTwo) {
  const std::vector<float> five = AlibiSlopes(5);
  ASSERT_EQ(five.size(), 5u);
  const double expected[] = {0.25, 0.0625, 0.015625, 0.00390625, 0.5};  // 2^-2i of four, then 2^-1 of eight.
  for (size_t i = 0; i < 5; ++i) EXPECT_FLOAT_EQ(five[i], static_cast<float>(expected[i]));
}

TEST(RopeAngles, QueriesBeyondTheLengthAreScaledByTheirPosition) {
  DecoderConfig config;
  EXPECT_FALSE(QueryScale(config, {5, 100}).defined());
  config.log_n = 10;
  EXPECT_FALSE(QueryScale(config, {0, 9}).defined());
  const torch::Tensor scale = QueryScale(config, {0, 9, 10, 99});
  EXPECT_EQ(scale[1].item<float>(), 1);
  EXPECT_FLOAT_EQ(scale[2].item<float>(), static_cast<float>(std::log10(11.0)));
  EXPECT_FLOAT_EQ(scale[3].item<float>(), 2);
}

TEST(Layout, ProductsCoverTheirRowsOnce) {
  const Product grouped =
      InGroups("x", 7, 3, {{Use::kQuery, 4}, {Use::kKey, 2}, {Use::kValue, 2}}, /*bias=*/true);
  EXPECT_EQ(grouped.outputs, 24);
  std::vector<int> covered(24, 0);
  for (const Piece& piece : grouped.pieces) {
    for (int64_t g = 0; g < piece.groups; ++g) {
      for (int64_t i = 0; i < piece.length; ++i) ++covered[piece.offset + g * piece.group_stride + i];
    }
  }
  EXPECT_EQ(covered, std::vector<int>(24, 1));
  EXPECT_EQ(grouped.pieces[1], (Piece{Use::kKey, 4, 8, 3, 2}));
}

TEST(Family, TheLayoutFollowsTheChoices) {
  const auto plain = Parse(R"(, "tie_word_embeddings": true)"), biased = Parse(R"(, "attention_bias": true)");
  EXPECT_EQ(LayoutOf(*plain).size(), 1 + 2 * 9 + 1u);
  EXPECT_EQ(LayoutOf(*biased).size(), 1 + 2 * 13 + 2u);
}

// A small config of each family, and what its layout begins and ends with.
struct Small {
  const char* family;
  const char* config;
  const char* second;       // The second weight's name.
  const char* last_matrix;  // Of the first block.
  size_t weights;           // Of one block.
};
const char* const kSizes =
    R"("vocab_size": 100, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6, "intermediate_size": 80)";
const Small kSmalls[] = {
    {"mistral", R"("sliding_window": 7)", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 9},
    {"qwen2", "", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 12},
    {"qwen3", R"("head_dim": 8)", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 11},
    {"internlm", "", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 13},
    {"internlm2", R"("num_key_value_heads": 2, "bias": false)", "model.layers.0.attention_norm.weight",
     "feed_forward.w2.weight", 7},
    {"baichuan", R"("model_max_length": 64)", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight",
     7},
    {"qwen", "", "transformer.h.0.ln_1.weight", "mlp.c_proj.weight", 8},
    {"gemma", R"("head_dim": 8)", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 9},
    {"gemma2", R"("head_dim": 8)", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 11},
    {"phi3", R"("num_key_value_heads": 2)", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight",
     6},
    {"chatglm",
     R"("padded_vocab_size": 100, "num_layers": 2, "ffn_hidden_size": 80, "add_qkv_bias": true,
        "multi_query_attention": true, "multi_query_group_num": 2)",
     "transformer.encoder.layers.0.input_layernorm.weight", "mlp.dense_4h_to_h.weight", 7},
    {"gpt_bigcode", R"("n_embd": 48, "n_layer": 2, "n_head": 6)", "transformer.wpe.weight",
     "mlp.c_proj.weight", 12},
};

StatusOr<DecoderConfig> ParseSmall(const Small& small, std::string_view more = "") {
  return ParseConfig(StrCat("{\"model_type\": \"", small.family, "\", ", kSizes,
                            *small.config == 0 ? "" : ", ", small.config, more, "}"),
                     "config.json");
}

const Small& SmallOf(std::string_view family) {
  for (const Small& small : kSmalls) {
    if (small.family == family) return small;
  }
  return kSmalls[0];
}

TEST(Family, EachHasItsStoredNamesAndProductsThatCoverTheirRows) {
  for (const Small& small : kSmalls) {
    const auto config = ParseSmall(small);
    ASSERT_TRUE(config.ok()) << small.family << ": " << Message(config.status());
    const Layout layout = LayoutOf(*config);
    EXPECT_EQ(layout[1].name, small.second) << small.family;
    size_t of_block = 0;
    std::string last;
    for (const StoredWeight& weight : layout) {
      EXPECT_TRUE(IsWithinDecoder(*config, weight.name)) << weight.name;
      if (UnitOf(*config, weight.role) == 1) ++of_block;
      if (weight.role.part != Part::kProjection || weight.role.bias) continue;
      if (weight.role.layer == 0) last = weight.name;
      int64_t rows = 0;
      for (const Piece& piece : weight.pieces) rows += piece.rows();
      EXPECT_EQ(rows, weight.shape[0]) << weight.name;
    }
    EXPECT_TRUE(last.ends_with(small.last_matrix)) << last;
    EXPECT_EQ(of_block, small.weights) << small.family;
    const DecoderWeights weights = MakeStructure(*config, layout);
    int64_t site = 0;
    VisitProjections(weights.blocks[1],
                     [&](const Projection& projection) { EXPECT_EQ(projection.site, site++); });
  }
}

TEST(Family, WhichBaichuanItIsTheKeysTell) {
  const Small& small = SmallOf("baichuan");
  const auto alibi = ParseSmall(small), rotary = ParseSmall(small, R"(, "max_position_embeddings": 32)"),
             second = ParseSmall(small, R"(, "tokenizer_class": "BaichuanTokenizer")");
  EXPECT_TRUE(alibi->alibi && alibi->PlanOf(0).rotary == LayerPlan::kNoRotary && !alibi->normalised_head);
  EXPECT_TRUE(!rotary->alibi && rotary->PlanOf(0).rotary == 0);
  EXPECT_TRUE(second->alibi && second->normalised_head);
}

TEST(Family, WindowsAreThoseOfTheLayersThatSlide) {
  EXPECT_EQ(ParseSmall(SmallOf("mistral"))->PlanOf(1).window, 7);
  const auto gemma = ParseSmall(SmallOf("gemma2"), R"(, "sliding_window": 9)");
  EXPECT_EQ(gemma->PlanOf(0).window, 9);
  EXPECT_EQ(gemma->PlanOf(1).window, 0);
  const auto off = ParseSmall(SmallOf("qwen2"), R"(, "sliding_window": 9, "max_window_layers": 1)");
  EXPECT_EQ(off->PlanOf(1).window, 0);
  const auto on = ParseSmall(SmallOf("qwen2"),
                             R"(, "sliding_window": 9, "max_window_layers": 1, "use_sliding_window": true)");
  EXPECT_EQ(on->PlanOf(0).window, 0);
  EXPECT_EQ(on->PlanOf(1).window, 9);
  const auto listed = ParseSmall(
      SmallOf("gemma2"), R"(, "sliding_window": 9, "layer_types": ["full_attention", "sliding_attention"])");
  EXPECT_EQ(listed->PlanOf(0).window, 0);
  EXPECT_EQ(listed->PlanOf(1).window, 9);
}

TEST(Family, WhatCannotBeRunIsRefusedInOneSentence) {
  const struct {
    const char* family;
    const char* more;
    const char* said;
  } cases[] = {
      {"gemma2", R"(, "layer_types": ["full_attention"])",
       "layer_types names 1 layers, num_hidden_layers is 2"},
      {"gemma2", R"(, "layer_types": ["full_attention", "linear_attention"])",
       "layer_types names linear_attention, which is not supported"},
      {"mistral", R"(, "hidden_size": 50)", "hidden_size(50) is no multiple of num_attention_heads(6)"},
      {"mistral", R"(, "num_key_value_heads": 4)",
       "num_attention_heads(6) is no multiple of num_key_value_heads(4)"},
      {"phi3", R"(, "rope_scaling": {"type": "longrope"})", "rope_scaling of kind \"longrope\""},
      {"internlm", R"(, "rotary": {"type": "spiral"})", "rotary: type \"spiral\" is not supported"},
      {"chatglm", R"(, "rmsnorm": false)", "rmsnorm false is not supported"},
      {"chatglm", R"(, "pre_seq_len": 128)", "pre_seq_len is not supported"},
      {"qwen", R"(, "rotary_pct": 0)", "rotary_pct is not above 0 and at most 1"},
      {"gpt_bigcode", R"(, "activation_function": "relu")", "activation_function \"relu\" is not supported"},
      {"mistral", R"(, "quantization_config": {"quant_method": "awq"})", "quant_method is awq"},
      {"qwen3", R"(, "num_hidden_layers": 1e300)", "num_hidden_layers is not an integer"},
      {"qwen", R"(, "hidden_size": 4611686018427387904)", "hidden_size"},
  };
  for (const auto& c : cases) {
    const auto config = ParseSmall(SmallOf(c.family), c.more);
    ASSERT_FALSE(config.ok()) << c.family << c.more;
    EXPECT_NE(Message(config.status()).find(c.said), std::string_view::npos) << Message(config.status());
    EXPECT_NE(Message(config.status()).find("config.json: "), std::string_view::npos);
  }
}

TEST(Family, HeadSizesThatTheFileDoesNotSayAreTheFamilys) {
  const auto parsed = [](std::string_view family) {
    return ParseConfig(StrCat("{\"model_type\": \"", family, "\", ", kSizes, "}"), "f");
  };
  EXPECT_EQ(parsed("qwen2")->head_size, 8);
  EXPECT_EQ(parsed("qwen3")->head_size, 128);
  EXPECT_EQ(parsed("gemma")->head_size, 256);
}

TEST(Family, HeadsOfTheirOwnKeysLieTogether) {
  const auto config = ParseSmall(SmallOf("gpt_bigcode"), R"(, "multi_query": false)");
  for (const StoredWeight& weight : LayoutOf(*config)) {
    if (weight.pieces.empty() || weight.pieces[0].use != Use::kQuery) continue;
    EXPECT_EQ(weight.pieces[1], (Piece{Use::kKey, 8, 24, 6, 8}));
  }
}

TEST(Family, HeadsStoredTwiceAreKnown) {
  const auto config = ParseSmall(SmallOf("gpt_bigcode"));
  EXPECT_TRUE(config->tied_head);
  EXPECT_TRUE(IsHeadCopy(*config, "lm_head.weight"));
  EXPECT_FALSE(IsHeadCopy(*config, "transformer.wte.weight"));
}

}  // namespace
}  // namespace ft::model
