// Decoders of every family, small and random: recomputation changes no bit, gradients are those of the loss, frozen weights are never
// saved, and what does not fit is refused by name.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"
#include "worker/model/ops/saved_tensor_guard.h"
#include "worker/model/run/language_model.h"
#include "worker/model/run/padded_batch.h"
#include "worker/model/run/small_model_fixture.h"

namespace ft::run {
namespace {

using torch::Tensor;

constexpr int64_t kVocabulary = 37;

struct Choice {
  const char* family;
  const char* config;
};
const Choice kChoices[] = {
    {"internlm2",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 40)"},
    {"baichuan",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3,
        "intermediate_size": 40, "model_max_length": 64, "tokenizer_class": "T")"},
    {"chatglm",
     R"("padded_vocab_size": 37, "hidden_size": 24, "num_layers": 2, "num_attention_heads": 3, "kv_channels": 8,
        "ffn_hidden_size": 40, "add_qkv_bias": true, "multi_query_attention": true, "multi_query_group_num": 1)"},
    {"qwen",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 80, "seq_length": 6)"},
    {"qwen3",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 40)"},
    {"gpt_bigcode", R"("vocab_size": 37, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 12)"},
    {"gemma2",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 6, "intermediate_size": 40, "sliding_window": 4,
        "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0, "query_pre_attn_scalar": 5)"},
    {"mistral",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 40, "sliding_window": 3)"},
    {"phi3",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 40)"}};

model::DecoderConfig ConfigOf(const Choice& choice) {
  const auto config = model::ParseConfig(
      StrCat("{\"model_type\": \"", choice.family, "\", ", choice.config, "}"), "config.json");
  EXPECT_TRUE(config.ok()) << config.status();
  return *config;
}

const Choice& ChoiceOf(std::string_view family) {
  for (const Choice& choice : kChoices) {
    if (choice.family == family) return choice;
  }
  return kChoices[0];
}

std::unique_ptr<LanguageModel> Make(const model::DecoderConfig& config, const ModelOptions& options) {
  auto loaded = LanguageModel::Load(config, RandomWeights(config), options);
  EXPECT_TRUE(loaded.ok()) << Message(loaded.status());
  at::Generator generator = at::detail::createCPUGenerator(6);
  params::ParameterStore& store = (*loaded)->store();
  // B starts at zero, which would hide A.
  for (int i = 0; i < store.size(); ++i) {
    if (store.name(i).find("lora_B") != std::string::npos) store.value(i).normal_(0, 0.1, generator);
  }
  store.ValuesChanged();
  return *std::move(loaded);
}

PackedRows Rows(const std::vector<int64_t>& lengths) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  const auto rows = static_cast<int64_t>(lengths.size());
  const Tensor ids = torch::randint(0, kVocabulary, {rows, 11}, generator, torch::kInt64);
  PaddedBatch batch{.ids_BT = ids, .labels_BT = ids.clone(), .lengths = lengths, .seed = 9, .step = 4};
  StatusOr<PackedRows> packed = Pack(batch, kVocabulary);
  EXPECT_TRUE(packed.ok()) << packed.status();
  return *std::move(packed);
}

class ChoicesTest : public ::testing::TestWithParam<Choice> {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

TEST_P(ChoicesTest, RecomputationChangesNoBitAndFrozenWeightsAreNotSaved) {
  const model::DecoderConfig config = ConfigOf(GetParam());
  const PackedRows rows = Rows({11, 4, 8});
  for (const char* method : {"full", "lora", "qlora"}) {
    ModelOptions options{.method = method, .rank = 3, .dropout = 0.2, .checkpointing = false};
    const auto kept = Make(config, options);
    const double loss = kept->ForwardBackward(rows, 0.1);
    options.checkpointing = true;
    const auto recomputed = Make(config, options);
    const ops::SavedTensorGuard guard;
    EXPECT_EQ(recomputed->ForwardBackward(rows, 0.1), loss) << method;
    EXPECT_TRUE(guard.violations().empty()) << guard.violations()[0];
    for (int i = 0; i < kept->store().size(); ++i) {
      EXPECT_TRUE(at::equal(kept->store().gradient(i), recomputed->store().gradient(i)))
          << method << ": " << kept->store().name(i);
      EXPECT_GT(kept->store().gradient(i).abs().max().item<double>(), 0) << kept->store().name(i);
    }
  }
}

// Every tensor alone, so that one of a wrong size is not lost beside the others.
TEST_P(ChoicesTest, TheGradientOfEachTensorPredictsTheChangeOfTheLoss) {
  const model::DecoderConfig config = ConfigOf(GetParam());
  const PackedRows rows =
      Rows({6, 5});  // No longer than lengths beyond which evaluation differs from training.
  const auto loaded = Make(config, {.method = "full"});
  params::ParameterStore& store = loaded->store();
  loaded->ForwardBackward(rows, 1);
  for (int i = 0; i < store.size(); ++i) {
    const Tensor gradient = store.gradient(i).clone(), before = store.value(i).clone();
    const double square = gradient.to(torch::kDouble).square().sum().item<double>();
    ASSERT_GT(square, 0) << store.name(i);
    // Far enough that the change of the loss stands out of its rounding, near enough that it is the slope's.
    const double size = std::sqrt(square), step = std::min(0.05, 1e-2 / size) / size;
    const auto loss = [&](double sign) {
      store.value(i).copy_(before + gradient * (sign * step));
      store.ValuesChanged();
      return loaded->Loss(rows);
    };
    const double slope = (loss(1) - loss(-1)) / (2 * step);
    store.value(i).copy_(before);
    store.ValuesChanged();
    EXPECT_NEAR(slope / square, 1, 0.03) << store.name(i);
  }
}

std::string ChoiceName(const ::testing::TestParamInfo<Choice>& info) { return info.param.family; }
INSTANTIATE_TEST_SUITE_P(Families, ChoicesTest, ::testing::ValuesIn(kChoices), ChoiceName);

std::string RefusalOf(const model::DecoderConfig& config, const MemorySource& source,
                      const ModelOptions& options = {}) {
  const auto loaded = LanguageModel::Load(config, source, options);
  EXPECT_FALSE(loaded.ok());
  return std::string(Message(loaded.status()));
}

TEST(LanguageModel, AFusedMatrixOfTheWrongHeightIsRefused) {
  const model::DecoderConfig config = ConfigOf(ChoiceOf("baichuan"));
  MemorySource source = RandomWeights(config);
  source.Remove("model.layers.0.self_attn.W_pack.weight");
  source.Add("model.layers.0.self_attn.W_pack.weight", torch::ones({71, 24}));
  EXPECT_NE(
      RefusalOf(config, source)
          .find("tensor model.layers.0.self_attn.W_pack.weight has shape [71, 24], config.json asks for "
                "[72, 24]"),
      std::string::npos)
      << RefusalOf(config, source);
}

TEST(LanguageModel, ATiedHeadWithOtherValuesIsRefused) {
  const model::DecoderConfig config = ConfigOf(ChoiceOf("gpt_bigcode"));
  MemorySource source = RandomWeights(config);
  const Tensor embedding = source.At("transformer.wte.weight").clone();
  source.Add("lm_head.weight", embedding);
  EXPECT_TRUE(LanguageModel::Load(config, source, {}).ok());
  source.At("lm_head.weight")[3][4] += 1;
  EXPECT_NE(
      RefusalOf(config, source)
          .find("tensor lm_head.weight has other values than transformer.wte.weight, though config.json "
                "says that they are one (tie_word_embeddings)"),
      std::string::npos);
}

TEST(LanguageModel, AnAdapterOfAnotherFamilyIsRefused) {
  const model::DecoderConfig config = ConfigOf(ChoiceOf("baichuan"));
  const std::string said =
      RefusalOf(config, RandomWeights(config),
                {.attach_adapter = true, .rank = 2, .targets = {"model.layers.0.self_attn.q_proj"}});
  EXPECT_NE(said.find("the adapter changes model.layers.0.self_attn.q_proj, which is no linear layer of this "
                      "model's blocks (W_pack, "),
            std::string::npos)
      << said;
}

TEST(LanguageModel, AnInputBeyondLearnedPositionsIsRefused) {
  const Choice table{"gpt_bigcode",
                     R"("vocab_size": 37, "n_embd": 24, "n_layer": 1, "n_head": 4, "n_positions": 8)"};
  const auto loaded = Make(ConfigOf(table), {.method = "full"});
  EXPECT_GT(loaded->Loss(Rows({8})), 0);
  try {
    loaded->ForwardBackward(Rows({9}), 1);
    FAIL() << "nothing was said";
  } catch (const c10::Error& error) {
    EXPECT_NE(
        std::string(error.what_without_backtrace())
            .find("an input of more than 8 tokens is longer than this model's table of positions: lower "
                  "train.max_length"),
        std::string::npos)
        << error.what_without_backtrace();
  }
}

}  // namespace
}  // namespace ft::run
