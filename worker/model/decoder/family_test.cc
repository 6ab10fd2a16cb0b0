#include "worker/model/decoder/family.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>
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
      {R"(, "rope_scaling": {"rope_type": "spiral", "factor": 2.0})", absl::StatusCode::kUnimplemented,
       "kind \"spiral\""},
      {R"(, "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "beta_fast": 1, "beta_slow": 2})",
       absl::StatusCode::kInvalidArgument, "beta_fast must be at least beta_slow"},
      {R"(, "rope_scaling": {"rope_type": "yarn", "factor": 2.0, "attention_factor": 0})",
       absl::StatusCode::kInvalidArgument, "attention_factor is not above 0"},
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
  EXPECT_NE(Message(far.status()).find("is not supported by this version (supported: baichuan, "),
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

// The formula of families.md by hand: 8 values, theta 10000, original context 32, factor 4.
TEST(RopeAngles, YarnKeepsFastWavesDividesSlowOnesAndMixesBetween) {
  auto config =
      Parse(R"(, "rope_theta": 10000, "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "beta_fast": 4,
      "beta_slow": 0.5, "original_max_position_embeddings": 32, "truncate": false})");
  ASSERT_TRUE(config.ok()) << config.status();
  const Rotary& rotary = config->rotaries.front();
  EXPECT_NEAR(rotary.scaling.magnitude, 0.1 * std::log(4.0) + 1, 1e-12);
  const auto size = static_cast<double>(config->TurnedSize(rotary));
  const auto dim = [&](double turns) {
    return size * std::log(32 / (2 * std::numbers::pi * turns)) / (2 * std::log(10000.0));
  };
  const std::vector<float> found = InverseFrequencies(*config, rotary, 10, Mode::kTraining);
  for (size_t i = 0; i < found.size(); ++i) {
    const double plain = std::pow(10000.0, -2.0 * static_cast<double>(i) / size);
    const double ramp = std::clamp(
        (static_cast<double>(i) - std::max(dim(4), 0.0)) / (dim(0.5) - std::max(dim(4), 0.0)), 0.0, 1.0);
    EXPECT_NEAR(found[i], plain * (1 - ramp) + plain / 4 * ramp, 1e-7) << i;
  }
  EXPECT_FALSE(AnglesDiffer(*config, 10, 4000, Mode::kInference));
  const ops::RopeTable table = MakeRopeTable(*config, rotary, 1, 1, Mode::kTraining);
  EXPECT_FLOAT_EQ(table.cosine_LP[0][0].item<float>(), static_cast<float>(rotary.scaling.magnitude));
}

TEST(RopeAngles, YarnsMagnitudeIsARatioWhereBothScalesAreGiven) {
  const auto config =
      Parse(R"(, "rope_scaling": {"type": "yarn", "factor": 40, "mscale": 1.0, "mscale_all_dim": 0.5})");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_NEAR(config->rotaries.front().scaling.magnitude,
              (0.1 * std::log(40.0) + 1) / (0.05 * std::log(40.0) + 1), 1e-12);
}

TEST(RopeAngles, LongFactorsAreThoseOfInputsBeyondTheOriginalContext) {
  const auto config = ParseConfig(
      R"({"model_type": "phi3", "vocab_size": 100, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6,
          "intermediate_size": 80, "max_position_embeddings": 160, "original_max_position_embeddings": 40,
          "partial_rotary_factor": 0.5,
          "rope_scaling": {"type": "longrope", "short_factor": [1, 2], "long_factor": [4, 8]}})",
      "f");
  ASSERT_TRUE(config.ok()) << config.status();
  const Rotary& rotary = config->rotaries.front();
  EXPECT_EQ(rotary.size, 4);
  EXPECT_NEAR(rotary.scaling.magnitude, std::sqrt(1 + std::log(4.0) / std::log(40.0)), 1e-12);
  EXPECT_FLOAT_EQ(InverseFrequencies(*config, rotary, 40, Mode::kTraining)[1], 0.01f / 2);
  EXPECT_FLOAT_EQ(InverseFrequencies(*config, rotary, 41, Mode::kTraining)[1], 0.01f / 8);
  EXPECT_TRUE(AnglesDiffer(*config, 40, 41, Mode::kTraining));
  EXPECT_FALSE(AnglesDiffer(*config, 1, 40, Mode::kInference));
  EXPECT_FALSE(AnglesDiffer(*config, 41, 150, Mode::kInference));
}

TEST(RopeAngles, ProportionalAnglesCountTheWholeHeadAndTheLastPairsStandStill) {
  DecoderConfig config;
  config.head_size = 16;
  const Rotary rotary{.scaling = {.kind = RopeScaling::Kind::kProportional, .share = 0.25}};
  const std::vector<float> found = InverseFrequencies(config, rotary, 10, Mode::kTraining);
  ASSERT_EQ(found.size(), 8u);
  EXPECT_FLOAT_EQ(found[1], static_cast<float>(std::pow(10000.0, -2.0 / 16)));
  for (size_t i = 2; i < 8; ++i) EXPECT_EQ(found[i], 0);
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
    {"mixtral", R"("num_key_value_heads": 2, "num_local_experts": 3)",
     "model.layers.0.input_layernorm.weight", "block_sparse_moe.experts.2.w2.weight", 2 + 4 + 1 + 3 * 3},
    {"qwen3_moe", R"("num_experts": 4, "num_experts_per_tok": 2)", "model.layers.0.input_layernorm.weight",
     "mlp.experts.3.down_proj.weight", 4 + 4 + 1 + 4 * 3},
    {"deepseek", R"("n_routed_experts": 2, "n_shared_experts": 1, "num_experts_per_tok": 1)",
     "model.layers.0.input_layernorm.weight", "mlp.experts.1.down_proj.weight", 2 + 4 + 3 + 1 + 2 * 3},
    {"deepseek_v2",
     R"("n_routed_experts": 2, "num_experts_per_tok": 1, "kv_lora_rank": 20, "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 4, "v_head_dim": 6)",
     "model.layers.0.input_layernorm.weight", "mlp.experts.1.down_proj.weight", 3 + 4 + 1 + 2 * 3},
    {"gpt_oss", R"("num_key_value_heads": 2, "num_local_experts": 5)",
     "model.layers.0.input_layernorm.weight", "mlp.experts.4.down_proj.weight", 2 + 1 + 2 * 4 + 2 + 5 * 4},
    {"gemma3_text", R"("head_dim": 8, "num_key_value_heads": 2)", "model.layers.0.input_layernorm.weight",
     "mlp.down_proj.weight", 13},
    {"gemma3", R"("text_config": {"num_hidden_layers": 2, "hidden_size": 48})",
     "language_model.model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 13},
    {"gemma4_text",
     R"("head_dim": 8, "global_head_dim": 16, "num_key_value_heads": 2, "num_global_key_value_heads": 1,
        "attention_k_eq_v": true, "layer_types": ["full_attention", "sliding_attention"])",
     "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 13},
    {"gemma4",
     R"("text_config": {"vocab_size": 100, "hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 6,
        "intermediate_size": 80})",
     "model.language_model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 14},
    {"glm4", R"("head_dim": 8)", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 10},
    {"granite", "", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 9},
    {"olmo2", "", "model.layers.0.post_attention_layernorm.weight", "mlp.down_proj.weight", 11},
    {"olmo3", "", "model.layers.0.post_attention_layernorm.weight", "mlp.down_proj.weight", 11},
    {"smollm3", "", "model.layers.0.input_layernorm.weight", "mlp.down_proj.weight", 9},
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
    EXPECT_EQ(std::size(kSmalls) + 1, recipe::Families().size());  // Llama has its own tests.
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

TEST(Family, LayersOfAKindHaveTheirTableAndSizes) {
  const auto gemma = ParseSmall(SmallOf("gemma3_text"),
                                R"(, "sliding_window": 9, "sliding_window_pattern": 2,
                                   "rope_scaling": {"rope_type": "linear", "factor": 8.0})");
  ASSERT_TRUE(gemma.ok()) << gemma.status();
  EXPECT_EQ(gemma->PlanOf(0).window, 9);
  EXPECT_EQ(gemma->rotaries[static_cast<size_t>(gemma->PlanOf(0).rotary)].theta, 10000);
  const Rotary& full = gemma->rotaries[static_cast<size_t>(gemma->PlanOf(1).rotary)];
  EXPECT_EQ(full.theta, 1e6);
  EXPECT_EQ(full.scaling.factor, 8);
  const auto olmo =
      ParseSmall(SmallOf("olmo3"),
                 R"(, "sliding_window": 9, "layer_types": ["sliding_attention", "full_attention"],
                                  "rope_scaling": {"rope_type": "yarn", "factor": 2.0})");
  ASSERT_TRUE(olmo.ok()) << olmo.status();
  EXPECT_EQ(olmo->rotaries[static_cast<size_t>(olmo->PlanOf(0).rotary)].scaling.kind,
            RopeScaling::Kind::kNone);
  EXPECT_EQ(olmo->rotaries[static_cast<size_t>(olmo->PlanOf(1).rotary)].scaling.kind,
            RopeScaling::Kind::kYarn);
  const auto four = ParseSmall(SmallOf("gemma4_text"));
  ASSERT_TRUE(four.ok()) << four.status();
  EXPECT_EQ(four->HeadSizeOf(0), 16);
  EXPECT_EQ(four->KeyHeadsOf(0), 1);
  EXPECT_EQ(four->HeadSizeOf(1), 8);
  EXPECT_EQ(four->KeyHeadsOf(1), 2);
  EXPECT_TRUE(four->PlanOf(0).value_is_key);
  const auto has = [layout = LayoutOf(*four)](std::string_view name) {
    return std::any_of(layout.begin(), layout.end(),
                       [&](const StoredWeight& weight) { return weight.name == name; });
  };
  EXPECT_FALSE(has("model.layers.0.self_attn.v_proj.weight"));
  EXPECT_TRUE(has("model.layers.1.self_attn.v_proj.weight"));
  const auto smol = ParseSmall(SmallOf("smollm3"), R"(, "no_rope_layers": [0, 1])");
  ASSERT_TRUE(smol.ok()) << smol.status();
  EXPECT_EQ(smol->PlanOf(0).rotary, LayerPlan::kNoRotary);
  EXPECT_EQ(smol->PlanOf(1).rotary, 0);
  EXPECT_EQ(ParseSmall(SmallOf("smollm3"), R"(, "no_rope_layer_interval": 2)")->PlanOf(1).rotary,
            LayerPlan::kNoRotary);
}

// Files say what differs from the 4B model, and either of two writings of names.
TEST(Family, TheTextPartOfAnImageModelIsReadByBothItsNames) {
  const auto config = ParseSmall(SmallOf("gemma3"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->vocabulary, 262208);
  EXPECT_EQ(config->heads, 8);
  EXPECT_TRUE(config->tied_head && IsTextPart(*config));
  const std::string name = "language_model.model.layers.0.mlp.up_proj.weight";
  EXPECT_EQ(LayoutName(*config, name), name);
  EXPECT_EQ(LayoutName(*config, "model.language_model.layers.0.mlp.up_proj.weight"), name);
  EXPECT_EQ(LayoutName(*config, "lm_head.weight"), "");  // The second copy of a tied head.
  EXPECT_FALSE(IsWithinDecoder(*config, "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight"));
  EXPECT_FALSE(IsTextPart(*ParseSmall(SmallOf("gemma3_text"))));
}

struct RefusedConfig {
  const char* family;
  const char* more;
  const char* said;
};

void ExpectRefused(const std::vector<RefusedConfig>& cases) {
  for (const RefusedConfig& c : cases) {
    const auto config = ParseSmall(SmallOf(c.family), c.more);
    ASSERT_FALSE(config.ok()) << c.family << c.more;
    EXPECT_NE(Message(config.status()).find(c.said), std::string_view::npos) << Message(config.status());
    EXPECT_NE(Message(config.status()).find("config.json: "), std::string_view::npos);
  }
}

TEST(Family, WhatCannotBeRunIsRefusedInOneSentence) {
  ExpectRefused({
      {"gemma2", R"(, "layer_types": ["full_attention"])",
       "layer_types names 1 layers, num_hidden_layers is 2"},
      {"gemma2", R"(, "layer_types": ["full_attention", "linear_attention"])",
       "layer_types names linear_attention, which is not supported"},
      {"mistral", R"(, "hidden_size": 50)", "hidden_size(50) is no multiple of num_attention_heads(6)"},
      {"mistral", R"(, "num_key_value_heads": 4)",
       "num_attention_heads(6) is no multiple of num_key_value_heads(4)"},
      {"phi3", R"(, "rope_scaling": {"type": "longrope"})", "rope_scaling: short_factor is missing"},
      {"phi3", R"(, "rope_scaling": {"type": "longrope", "short_factor": [1, 0], "long_factor": [1]})",
       "short_factor holds something else than numbers above 0"},
      {"phi3",
       R"(, "rope_scaling": {"type": "longrope", "short_factor": [1, 2, 3], "long_factor": [1, 2, 3, 4]})",
       "rope_scaling: short_factor has 3 numbers, 4 pairs of a head's values turn"},
      {"gemma3", R"(, "text_config": null)",
       "text_config is missing: an image model without a part for text"},
      {"gemma3", R"(, "text_config": {"hidden_size": "x"})", "text_config: hidden_size is not an integer"},
      {"gemma3_text", R"(, "use_bidirectional_attention": true)",
       "use_bidirectional_attention true is not supported"},
      {"gemma3_text", R"(, "layer_types": ["full_attention"])", "layer_types names 1 layers"},
      {"gemma4_text", R"(, "hidden_size_per_layer_input": 256)",
       "hidden_size_per_layer_input above 0 (per-layer embeddings) is not supported"},
      {"gemma4_text", R"(, "num_kv_shared_layers": 20)",
       "num_kv_shared_layers above 0 (keys shared over layers) is not supported"},
      {"gemma4_text", R"(, "enable_moe_block": true)", "enable_moe_block true is not supported"},
      {"gemma4_text", R"(, "use_double_wide_mlp": true)", "use_double_wide_mlp true is not supported"},
      {"gemma4_text", R"(, "num_global_key_value_heads": 4)", "4 key heads"},
      {"gemma4", R"(, "text_config": 3)", "text_config is missing"},
      {"smollm3", R"(, "no_rope_layers": [1])", "no_rope_layers names 1 layers, num_hidden_layers is 2"},
      {"smollm3", R"(, "no_rope_layers": [1, 2])", "no_rope_layers holds something else than 0 and 1"},
      {"smollm3", R"(, "no_rope_layer_interval": 0)", "no_rope_layer_interval must be at least 1"},
      {"granite", R"(, "logits_scaling": 0)", "logits_scaling is not above 0"},
      {"granite", R"(, "attention_multiplier": 0)", "attention_multiplier is not above 0"},
      {"granite", R"(, "residual_multiplier": -1)",
       "multipliers of embedding, sub-layers and logits must be above 0"},
      {"glm4", R"(, "quantization_config": {"quant_method": "fp8"})", "quant_method is fp8"},
      {"internlm", R"(, "rotary": {"type": "spiral"})", "rotary: type \"spiral\" is not supported"},
      {"chatglm", R"(, "rmsnorm": false)", "rmsnorm false is not supported"},
      {"chatglm", R"(, "pre_seq_len": 128)", "pre_seq_len is not supported"},
      {"qwen", R"(, "rotary_pct": 0)", "rotary_pct is not above 0 and at most 1"},
      {"gpt_bigcode", R"(, "activation_function": "relu")", "activation_function \"relu\" is not supported"},
      {"mistral", R"(, "quantization_config": {"quant_method": "awq"})", "quant_method is awq"},
      {"qwen3", R"(, "num_hidden_layers": 1e300)", "num_hidden_layers is not an integer"},
      {"qwen", R"(, "hidden_size": 4611686018427387904)", "hidden_size"},
  });
}

TEST(Family, WhatCannotBeRunOfExpertsIsRefusedInOneSentence) {
  ExpectRefused({
      {"mixtral", R"(, "num_experts_per_tok": 9)", "num_experts_per_tok is 9, must be from 1 to 3"},
      {"mixtral", R"(, "num_local_experts": 5000)", "the number of experts is 5000, must be from 1 to 4096"},
      {"mixtral", R"(, "num_local_experts": 4000, "num_hidden_layers": 100)",
       "the number of experts of all layers is 400000, must be from 1 to 65536"},
      {"mixtral", R"(, "router_jitter_noise": 0.1)", "router_jitter_noise is not supported"},
      {"qwen3_moe", R"(, "decoder_sparse_step": 0)", "decoder_sparse_step must be at least 1"},
      {"qwen3_moe", R"(, "mlp_only_layers": ["all"])", "mlp_only_layers holds something else than numbers"},
      {"qwen3_moe", R"(, "moe_intermediate_size": -3)", "the width of an expert is -3"},
      {"deepseek_v2", R"(, "q_lora_rank": 16)", "q_lora_rank is not supported"},
      {"deepseek_v2", R"(, "norm_topk_prob": true)", "norm_topk_prob true is not supported"},
      {"deepseek_v2", R"(, "topk_method": "noaux_tc")", "topk_method \"noaux_tc\" is not supported"},
      {"deepseek_v2", R"(, "v_head_dim": 13)", "v_head_dim is 13, must be from 1 to 12"},
      {"deepseek_v2", R"(, "qk_rope_head_dim": 5, "qk_nope_head_dim": 7)",
       "rotary positions turn 5 of a head's 12"},
      {"gpt_oss", R"(, "swiglu_limit": 0)", "swiglu_limit must be above 0"},
      {"deepseek", R"(, "scoring_func": "sigmoid")", "scoring_func \"sigmoid\" is not supported"},
      {"deepseek", R"(, "moe_layer_freq": 0)", "moe_layer_freq must be at least 1"},
      {"deepseek", R"(, "n_shared_experts": -1)", "the width of the shared experts is"},
      {"deepseek", R"(, "aux_loss_alpha": -1)", "the weight of the router's loss must be at least 0"},
  });
}

TEST(Family, ExpertsAreInTheLayersThatTheFileSays) {
  const auto sparse = [](const StatusOr<DecoderConfig>& config) {
    std::string layers;
    for (int64_t i = 0; i < config->layers; ++i) StrAppend(&layers, config->PlanOf(i).experts ? "x" : "-");
    return layers;
  };
  const auto parse = [](std::string_view family, std::string_view more) {
    return ParseSmall(SmallOf(family), StrCat(R"(, "num_hidden_layers": 6)", more));
  };
  EXPECT_EQ(sparse(parse("mixtral", "")), "xxxxxx");
  EXPECT_EQ(sparse(parse("qwen3_moe", R"(, "decoder_sparse_step": 2, "mlp_only_layers": [3])")), "-x---x");
  EXPECT_EQ(sparse(parse("qwen3_moe", R"(, "num_experts": 0)")), "------");
  EXPECT_EQ(sparse(parse("deepseek", R"(, "first_k_dense_replace": 1, "moe_layer_freq": 2)")), "--x-x-");
  EXPECT_EQ(sparse(parse("deepseek", R"(, "n_routed_experts": null)")), "------");
}

TEST(Family, ExpertsInOneTensorAreSaidToBeThere) {
  const auto fused = ParseSmall(SmallOf("gpt_oss"));
  ASSERT_TRUE(fused.ok()) << fused.status();
  EXPECT_TRUE(fused->sinks && fused->PlanOf(0).window == 128 && fused->PlanOf(1).window == 0);
  for (const StoredWeight& weight : LayoutOf(*fused)) {
    if (weight.name == "model.layers.1.mlp.experts.3.gate_up_proj.weight") {
      EXPECT_EQ(weight.fused->tensor, "model.layers.1.mlp.experts.gate_up_proj");
      EXPECT_EQ(weight.fused->ShapeOf(weight.shape), (std::vector<int64_t>{5, 48, 160}));
      // Gate and up in turns.
      EXPECT_EQ(weight.pieces[1], (Piece{Use::kUp, 1, 2, 80, 1}));
    }
    if (weight.name == "model.layers.1.mlp.experts.3.down_proj.bias") {
      EXPECT_EQ(weight.fused->tensor, "model.layers.1.mlp.experts.down_proj_bias");
      EXPECT_EQ(weight.fused->ShapeOf(weight.shape), (std::vector<int64_t>{5, 48}));
    }
  }
  for (const StoredWeight& weight : LayoutOf(*ParseSmall(SmallOf("qwen3_moe")))) {
    if (weight.name != "model.layers.0.mlp.experts.2.up_proj.weight") continue;
    EXPECT_EQ(weight.fused->first_row, 768);
    EXPECT_EQ(weight.fused->ShapeOf(weight.shape), (std::vector<int64_t>{4, 2 * 768, 48}));
  }
}

TEST(Family, LossesOfRoutersAreThoseThatTheFileAsksFor) {
  using Balance = Experts::Balance;
  const auto balance = [](std::string_view family, std::string_view more) {
    const auto config = ParseSmall(SmallOf(family), more);
    return std::pair(config->experts.balance, config->experts.balance_weight);
  };
  EXPECT_EQ(balance("mixtral", "").first, Balance::kNone);
  EXPECT_EQ(balance("mixtral", R"(, "output_router_logits": true, "router_aux_loss_coef": 0.25)"),
            std::pair(Balance::kModel, 0.25));
  EXPECT_EQ(balance("deepseek", ""), std::pair(Balance::kSequence, 0.001));
  EXPECT_EQ(balance("deepseek", R"(, "seq_aux": false)").first, Balance::kLayer);
  EXPECT_EQ(balance("deepseek", R"(, "aux_loss_alpha": 0)").first, Balance::kNone);
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
