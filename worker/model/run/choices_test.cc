// Decoders of every family, small and random: recomputation changes no bit, gradients are those of the loss, frozen weights are never
// saved, and what does not fit is refused by name.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "gtest/gtest.h"
#include "worker/model/decoder/fused_experts.h"
#include "worker/model/decoder/fused_part.h"
#include "worker/model/ops/int8.h"
#include "worker/model/ops/saved_tensor_guard.h"
#include "worker/model/params/nf4_slot.h"
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
        "num_key_value_heads": 2, "intermediate_size": 40)"},
    {"mixtral",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 20, "num_local_experts": 3, "output_router_logits": true,
        "router_aux_loss_coef": 0.5)"},
    {"qwen3_moe",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 40, "moe_intermediate_size": 12,
        "num_experts": 4, "num_experts_per_tok": 3, "norm_topk_prob": true, "mlp_only_layers": [0])"},
    {"deepseek",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 40, "moe_intermediate_size": 12, "n_routed_experts": 4, "n_shared_experts": 2,
        "num_experts_per_tok": 2, "first_k_dense_replace": 1, "aux_loss_alpha": 0.0)"},
    {"deepseek_v2",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 40, "moe_intermediate_size": 12, "n_routed_experts": 4, "num_experts_per_tok": 2,
        "first_k_dense_replace": 1, "aux_loss_alpha": 0.0, "kv_lora_rank": 10, "qk_nope_head_dim": 6,
        "qk_rope_head_dim": 4, "v_head_dim": 7, "routed_scaling_factor": 2.0,
        "topk_method": "group_limited_greedy", "n_group": 2, "topk_group": 1)"},
    {"gpt_oss",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 12, "num_local_experts": 3,
        "num_experts_per_tok": 2, "sliding_window": 4, "swiglu_limit": 1.5)"},
    {"gemma3_text",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 6, "intermediate_size": 40, "sliding_window": 4,
        "sliding_window_pattern": 2, "query_pre_attn_scalar": 5)"},
    {"gemma4_text",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 6, "global_head_dim": 8, "num_global_key_value_heads": 1,
        "attention_k_eq_v": true, "intermediate_size": 40, "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_parameters": {"full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.5}})"},
    {"glm4",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "intermediate_size": 40, "attention_bias": true)"},
    {"granite",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 40, "embedding_multiplier": 3.0, "attention_multiplier": 0.3,
        "residual_multiplier": 0.4, "logits_scaling": 2.0)"},
    {"olmo3",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 40, "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention"],
        "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8})"},
    {"smollm3",
     R"("vocab_size": 37, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 40, "no_rope_layers": [0, 1])"}};

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
  model::DecoderConfig config = ConfigOf(GetParam());
  // Every row goes to all experts, so that no step along a gradient changes which are chosen.
  config.experts.chosen = config.experts.count;
  config.experts.chosen_groups = config.experts.groups;
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
      return loaded->Loss(rows, model::Mode::kTraining);
    };
    const double slope = (loss(1) - loss(-1)) / (2 * step);
    store.value(i).copy_(before);
    store.ValuesChanged();
    EXPECT_NEAR(slope / square, 1, 0.03) << store.name(i);
  }
}

std::string ChoiceName(const ::testing::TestParamInfo<Choice>& info) { return info.param.family; }
INSTANTIATE_TEST_SUITE_P(Families, ChoicesTest, ::testing::ValuesIn(kChoices), ChoiceName);

// Rows go to experts in one order and come back in one.
TEST(Experts, AnyNumberOfThreadsGivesTheSameBits) {
  for (const char* family : {"mixtral", "qwen3_moe", "deepseek", "gpt_oss"}) {
    const model::DecoderConfig config = ConfigOf(ChoiceOf(family));
    const PackedRows rows = Rows({11, 4, 8});
    std::vector<std::unique_ptr<LanguageModel>> models;
    for (const int threads : {1, 2, 3}) {
      at::set_num_threads(threads);
      models.push_back(Make(config, {.method = "qlora", .rank = 3, .dropout = 0.2}));
      models.back()->ForwardBackward(rows, 0.1);
      EXPECT_TRUE(at::equal(models.back()->store().gradients(), models[0]->store().gradients()))
          << family << " " << threads;
    }
    at::set_num_threads(1);
  }
}

// A row goes to two of four; an expert that gets none has no gradient, and the others have theirs.
TEST(Experts, OneThatGetsNoRowHasNoGradient) {
  const model::DecoderConfig config = ConfigOf(ChoiceOf("deepseek"));
  const auto loaded = Make(config, {.method = "full"});
  params::ParameterStore& store = loaded->store();
  // The router likes the first two of every row better.
  Tensor router = store.value(store.Find("model.layers.1.mlp.gate.weight"));
  router.zero_();
  store.ValuesChanged();
  EXPECT_GT(loaded->ForwardBackward(Rows({11}), 1), 0);
  const auto largest = [&](int expert) {
    const int index = store.Find(StrCat("model.layers.1.mlp.experts.", expert, ".down_proj.weight"));
    return store.gradient(index).abs().max().item<double>();
  };
  EXPECT_GT(largest(0), 0);
  EXPECT_GT(largest(1), 0);
  EXPECT_EQ(largest(2), 0);
  EXPECT_EQ(largest(3), 0);
}

// Of the losses of routers only the one over all layers is told; the gradient has each.
TEST(Experts, TheLossOfRoutersIsPartOfTheGradient) {
  for (const char* family : {"mixtral", "deepseek"}) {
    model::DecoderConfig config = ConfigOf(ChoiceOf(family));
    const bool told = config.experts.balance == model::Experts::Balance::kModel;
    config.experts.balance = model::Experts::Balance::kNone;
    const PackedRows rows = Rows({11, 4});
    const auto without = Make(config, {.method = "full"});
    const double loss = without->ForwardBackward(rows, 1);
    config.experts.balance = told ? model::Experts::Balance::kModel : model::Experts::Balance::kSequence;
    config.experts.balance_weight = 0.5;
    const auto with = Make(config, {.method = "full"});
    const double more = with->ForwardBackward(rows, 1);
    EXPECT_EQ(with->Loss(rows), without->Loss(rows)) << family;
    if (told) {
      EXPECT_GT(more, loss + 0.4 * static_cast<double>(rows.targets.size())) << family;
      EXPECT_NEAR(with->Loss(rows, model::Mode::kTraining), more, 1e-9) << family;
    } else {
      EXPECT_EQ(more, loss) << family;
    }
    EXPECT_FALSE(at::equal(with->store().gradients(), without->store().gradients())) << family;
  }
}

// Every matrix but embedding, head and routers, and no more than 0.55 bytes a weight with what goes with the codes.
TEST(Experts, AreHeldInFourBits) {
  const Choice wide{"qwen3_moe",
                    R"("vocab_size": 37, "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4,
                       "num_key_value_heads": 2, "head_dim": 64, "intermediate_size": 128,
                       "moe_intermediate_size": 96, "num_experts": 8, "num_experts_per_tok": 2)"};
  const auto loaded = Make(ConfigOf(wide), {.method = "qlora", .rank = 2});
  int64_t bytes = 0, values = 0, experts = 0;
  for (const model::BlockWeights& block : loaded->weights().blocks) {
    model::VisitProjections(block, [&](const model::Projection& projection) {
      const auto* slot = dynamic_cast<const params::Nf4Slot*>(projection.weight.get());
      EXPECT_EQ(slot == nullptr, projection.pieces.front().use == model::Use::kRouter) << projection.module;
      EXPECT_TRUE(projection.adapter.has_value()) << projection.module;
      if (slot == nullptr) return;
      const ops::Nf4Tensor& tensor = slot->tensor();
      experts += projection.module.find("experts.") == std::string::npos ? 0 : 1;
      values += tensor.count();
      for (const Tensor& part : {tensor.packed, tensor.absmax_codes, tensor.nested_absmax})
        bytes += static_cast<int64_t>(part.nbytes());
    });
  }
  EXPECT_EQ(experts, 2 * 8 * 3);
  EXPECT_LE(static_cast<double>(bytes), 0.55 * static_cast<double>(values));
}

TEST(Experts, OneThatTheFilesLackIsNamed) {
  const model::DecoderConfig config = ConfigOf(ChoiceOf("qwen3_moe"));
  MemorySource source = RandomWeights(config);
  source.Remove("model.layers.1.mlp.experts.2.up_proj.weight");
  const auto loaded = LanguageModel::Load(config, source, {});
  EXPECT_NE(
      Message(loaded.status())
          .find("the weights have no tensor model.layers.1.mlp.experts.2.up_proj.weight, which config.json "
                "asks for"),
      std::string_view::npos)
      << loaded.status();
}

// The weights in files that have all experts in one tensor.
MemorySource Fused(const model::Layout& layout, const MemorySource& split) {
  MemorySource source;
  for (const model::StoredWeight& weight : layout) {
    if (!weight.fused.has_value()) source.Add(weight.name, split.ValueOf(weight.name));
  }
  for (const model::FusedTensor& fused : model::FusedTensors(layout)) {
    Tensor whole = torch::zeros(fused.shape);
    for (const model::StoredWeight* part : fused.parts)
      model::PartOf(whole, *part).copy_(split.ValueOf(part->name));
    source.Add(fused.name, whole);
  }
  return source;
}

TEST(Experts, InOneTensorAreTheSameModel) {
  for (const char* family : {"qwen3_moe", "gpt_oss"}) {
    const model::DecoderConfig config = ConfigOf(ChoiceOf(family));
    const model::Layout layout = model::LayoutOf(config);
    const MemorySource split = RandomWeights(config), fused = Fused(layout, split);
    ASSERT_LT(fused.tensors().size(), split.tensors().size());
    for (const char* method : {"full", "qlora"}) {
      const auto one = LanguageModel::Load(config, split, {.method = method}),
                 other = LanguageModel::Load(config, fused, {.method = method});
      ASSERT_TRUE(one.ok() && other.ok()) << other.status();
      EXPECT_TRUE(at::equal((*one)->Logits(Rows({9})), (*other)->Logits(Rows({9}))))
          << family << " " << method;
      EXPECT_TRUE((*other)->remarks().empty());
    }
  }
}

TEST(Experts, ThatAreThereTwiceOrOfAnotherHeightAreRefused) {
  const model::DecoderConfig config = ConfigOf(ChoiceOf("qwen3_moe"));
  const MemorySource split = RandomWeights(config);
  const auto refusal = [&](const MemorySource& source) {
    return std::string(Message(LanguageModel::Load(config, source, {}).status()));
  };
  MemorySource twice = Fused(model::LayoutOf(config), split);
  const std::string one = "model.layers.1.mlp.experts.2.up_proj.weight";
  twice.Add(one, split.ValueOf(one));
  EXPECT_NE(
      refusal(twice).find(StrCat("the weights have experts twice, split and in one tensor: ", one, " and ",
                                 "model.layers.1.mlp.experts.gate_up_proj; leave one of them out")),
      std::string::npos)
      << refusal(twice);
  MemorySource low = Fused(model::LayoutOf(config), split);
  low.Remove("model.layers.1.mlp.experts.gate_up_proj");
  low.Add("model.layers.1.mlp.experts.gate_up_proj", torch::ones({4, 23, 24}));
  EXPECT_NE(refusal(low).find(
                "tensor model.layers.1.mlp.experts.gate_up_proj has shape [4, 23, 24], config.json asks "
                "for [4, 24, 24]"),
            std::string::npos)
      << refusal(low);
}

std::string RefusalOf(const model::DecoderConfig& config, const MemorySource& source,
                      const ModelOptions& options = {}) {
  const auto loaded = LanguageModel::Load(config, source, options);
  EXPECT_FALSE(loaded.ok());
  return std::string(Message(loaded.status()));
}

TEST(Experts, KindsOfAdaptersThatPeftHasNotForThemInOneTensorAreRefused) {
  const model::DecoderConfig config = ConfigOf(ChoiceOf("gpt_oss"));
  ModelOptions options{.method = "lora", .rank = 2};
  options.kind.use_dora = true;
  const Status refused = LanguageModel::Load(config, RandomWeights(config), options).status();
  EXPECT_NE(Message(refused).find("use_dora, rank_pattern and alpha_pattern are not for models"),
            std::string::npos)
      << refused;
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

// As StarCoder's recipe names q_attn, which the model has not.
TEST(AdapterTargetsTest, ATargetWithoutALayerIsPassedOverWhereAnotherHasOne) {
  const model::DecoderConfig config = SmallConfig();
  const MemorySource source = RandomWeights(config);
  ModelOptions options{.method = "lora", .rank = 2, .targets = {"q_attn", "up_proj"}};
  EXPECT_FALSE(LanguageModel::Load(config, source, options).ok());
  options.pass_over_targets = true;
  const auto loaded = LanguageModel::Load(config, source, options);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ((*loaded)->store().size(), 2 * config.layers);
  ASSERT_EQ((*loaded)->remarks().size(), 1u);
  EXPECT_NE((*loaded)->remarks()[0].find("\"q_attn\""), std::string::npos);
  options.targets = {"q_attn", "k_attn"};
  const auto none = LanguageModel::Load(config, source, options);
  EXPECT_NE(Message(none.status()).find("no linear layer \"q_attn\""), std::string_view::npos);
}

// The base is what int8 makes of it, whether it is trained over, or stands alone; it alone changes nothing else.
TEST(Int8BaseTest, ProjectionsGoThroughEightBitsAndNothingElseDoes) {
  const model::DecoderConfig config = SmallConfig();
  const MemorySource source = RandomWeights(config);
  MemorySource dequantised = RandomWeights(config);
  for (const model::StoredWeight& weight : model::LayoutOf(config)) {
    if (weight.role.part != model::Part::kProjection || weight.role.bias) continue;
    Tensor& value = dequantised.At(weight.name);
    value.copy_(ops::DequantiseInt8(ops::QuantiseInt8(value), torch::kFloat));
  }
  const auto plain = LanguageModel::Load(config, dequantised, {});
  const auto alone = LanguageModel::Load(config, source, {.base = params::BaseKind::kInt8});
  const auto trained = LanguageModel::Load(config, source, {.method = "int8_lora", .rank = 2});
  ASSERT_TRUE(plain.ok() && alone.ok() && trained.ok()) << trained.status();
  const Tensor expected = (*plain)->Logits(Rows({9}));
  EXPECT_TRUE(torch::allclose((*alone)->Logits(Rows({9})), expected, 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose((*trained)->Logits(Rows({9})), expected, 1e-5, 1e-6));
  (*trained)->store().gradients().zero_();
  EXPECT_GT((*trained)->ForwardBackward(Rows({9}), 1), 0);
  EXPECT_GT((*trained)->store().gradients().abs().sum().item<double>(), 0);
}

}  // namespace
}  // namespace ft::run
