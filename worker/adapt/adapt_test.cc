#include <memory>

#include "gtest/gtest.h"
#include "worker/adapt/merge.h"
#include "worker/adapt/peft_config.h"
#include "worker/quant/nf4_slot.h"

namespace ft::adapt {
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
  for (const char* option : {"\"use_dora\": true", "\"use_rslora\": true", "\"rank_pattern\": {\"q\": 3}",
                             "\"modules_to_save\": [\"lm_head\"]", "\"bias\": \"all\""}) {
    const auto config = ParsePeftConfig(head + option + "}", "f");
    EXPECT_EQ(config.status().code(), absl::StatusCode::kUnimplemented) << option;
  }
  EXPECT_TRUE(
      ParsePeftConfig(head + "\"use_dora\": false, \"rank_pattern\": {}, \"bias\": \"none\"}", "f").ok());
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

class Merge : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::manual_seed(3);
    weights_.blocks.resize(1);
    weights_.embedding_VC = Slot("model.embed_tokens.weight", torch::randn({7, 4}));
    weights_.head_VC = weights_.embedding_VC;
    weights_.final_norm = Slot("model.norm.weight", torch::ones({4}));
    model::BlockWeights& block = weights_.blocks[0];
    block.attention_norm = Slot("n1", torch::ones({4}));
    block.mlp_norm = Slot("n2", torch::ones({4}));
    for (int site = 0; site < model::kSites; ++site) {
      block.projection[site].weight = Slot("p" + std::to_string(site), torch::randn({6, 64}));
    }
    block.projection[1].adapter =
        ops::LoraSlots{Slot("a", torch::randn({2, 64})), Slot("b", torch::randn({6, 2})), 0.5};
  }
  static model::SlotPtr Slot(const std::string& name, torch::Tensor value) {
    return std::make_shared<ops::ResidentSlot>(name, std::move(value), false);
  }
  model::DecoderWeights weights_;
};

TEST_F(Merge, AddsTheAdapterInFloat32AndRoundsOnce) {
  const model::Projection& p = weights_.blocks[0].projection[1];
  const torch::Tensor expected =
      p.weight->Materialise(at::kFloat) +
      0.5 * at::mm(p.adapter->b_OR->Materialise(at::kFloat), p.adapter->a_RI->Materialise(at::kFloat));
  const auto merged = MergedWeight(weights_, "p1", at::kFloat);
  ASSERT_TRUE(merged.ok());
  EXPECT_TRUE(at::allclose(*merged, expected, 1e-6, 1e-6));
  EXPECT_TRUE(at::equal(*MergedWeight(weights_, "p1", at::kBFloat16), merged->to(at::kBFloat16)));
}

TEST_F(Merge, OtherWeightsAreCopiesOfTheBase) {
  auto merged = MergedWeight(weights_, "p0", at::kFloat);
  ASSERT_TRUE(merged.ok());
  EXPECT_TRUE(at::equal(*merged, weights_.blocks[0].projection[0].weight->Materialise(at::kFloat)));
  merged->zero_();  // Must not reach the model.
  EXPECT_GT(weights_.blocks[0].projection[0].weight->Materialise(at::kFloat).abs().max().item<double>(), 0);
  EXPECT_TRUE(at::equal(*MergedWeight(weights_, "lm_head.weight", at::kFloat),
                        *MergedWeight(weights_, "model.embed_tokens.weight", at::kFloat)));
  EXPECT_EQ(MergedWeight(weights_, "nothing", at::kFloat).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Merge, AQuantisedBaseIsDequantised) {
  const torch::Tensor base = torch::randn({6, 64});
  const ops::Nf4Tensor packed = ops::QuantiseNf4(base);
  weights_.blocks[0].projection[1].weight = std::make_shared<quant::Nf4Slot>("p1", packed);
  const model::Projection& p = weights_.blocks[0].projection[1];
  const torch::Tensor expected =
      ops::DequantiseNf4(packed, at::kFloat) +
      0.5 * at::mm(p.adapter->b_OR->Materialise(at::kFloat), p.adapter->a_RI->Materialise(at::kFloat));
  EXPECT_TRUE(at::allclose(*MergedWeight(weights_, "p1", at::kFloat), expected, 1e-6, 1e-6));
}

}  // namespace
}  // namespace ft::adapt
