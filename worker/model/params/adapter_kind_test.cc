#include "worker/model/params/adapter_kind.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "worker/model/params/adapters.h"
#include "worker/model/params/module_pattern.h"

namespace ft::params {
namespace {

constexpr const char* kModule = "model.layers.1.self_attn.q_proj";

TEST(ModulePattern, NamesMeanEndsBehindADotAndExpressionsWholeNames) {
  EXPECT_TRUE(EndsWith(kModule, "q_proj") && EndsWith(kModule, "self_attn.q_proj") &&
              EndsWith(kModule, kModule));
  EXPECT_FALSE(EndsWith(kModule, "_proj") || EndsWith(kModule, "k_proj"));
  EXPECT_TRUE(*MatchesWhole(".*self_attn.(q|k)_proj", kModule));
  EXPECT_FALSE(*MatchesWhole("self_attn.(q|k)_proj", kModule));  // Not from the beginning,
  EXPECT_FALSE(*MatchesWhole("model.*self_attn", kModule));      // not to the end.
  EXPECT_TRUE(*MatchesKey("(q|k)_proj", kModule) && *MatchesKey("q_proj", kModule));
  EXPECT_FALSE(*MatchesKey("(q|k)_pro", kModule));
  EXPECT_FALSE(IsExpression("model.layers.1.mlp"));
}

TEST(ModulePattern, WhatIsNoExpressionOrTakesTooLongIsRefused) {
  const auto open = MatchesWhole("(q_proj", kModule);
  EXPECT_TRUE(absl::IsInvalidArgument(open.status()));
  EXPECT_NE(Message(open.status()).find("the regular expression '(q_proj' is not valid"),
            std::string_view::npos);
  const auto slow = MatchesWhole("((a+)+)+[bc]", std::string(60, 'a'));
  EXPECT_TRUE(absl::IsUnimplemented(slow.status())) << slow.status();
  EXPECT_NE(Message(slow.status()).find("takes too long over the name"), std::string_view::npos);
  EXPECT_TRUE(absl::IsUnimplemented(MatchesWhole(std::string(5000, 'a'), kModule).status()));
}

TEST(AdapterKind, TheFirstKeyThatMeansAModuleCounts) {
  AdapterKind kind{.rank_pattern = {{"layers.1.*", 16}, {"q_proj", 2}}, .alpha_pattern = {{"q_proj", 3}}};
  EXPECT_EQ(kind.RankOf(kModule, 8), 16);
  EXPECT_EQ(kind.RankOf("model.layers.0.self_attn.q_proj", 8), 2);
  EXPECT_EQ(kind.RankOf("model.layers.0.mlp.up_proj", 8), 8);
  EXPECT_EQ(kind.ScaleOf(kModule, 8, 5), 3.0 / 16);
  kind.use_rslora = true;
  EXPECT_EQ(kind.ScaleOf("model.layers.0.mlp.up_proj", 8, 5), 5 / std::sqrt(8.0));
  kind.alpha_pattern = {{"(q", 1}};
  EXPECT_NE(Message(kind.Check(kModule)).find("alpha_pattern: the regular expression"),
            std::string_view::npos);
}

TEST(AdapterKind, SavedModulesHaveNoAdapter) {
  const AdapterOptions options{.kind = {.modules_to_save = {"q_proj", "embed_tokens"}}};
  EXPECT_FALSE(IsTarget(options, kModule));
  EXPECT_TRUE(IsTarget(options, "model.layers.1.mlp.up_proj"));
  EXPECT_EQ(SavedName("model.embed_tokens.weight"), "base_model.model.model.embed_tokens.weight");
}

// transformers has named the text part of image models otherwise since 4.52, and files have not.
TEST(AdapterModule, TheTextPartOfAnImageModelHasTodaysName) {
  EXPECT_EQ(AdapterModule("language_model.model.layers.0.mlp.up_proj"),
            "model.language_model.layers.0.mlp.up_proj");
  EXPECT_EQ(AdapterModule("language_model.lm_head"), "lm_head");
  EXPECT_EQ(AdapterModule("model.layers.0.mlp.up_proj"), "model.layers.0.mlp.up_proj");
}

}  // namespace
}  // namespace ft::params
