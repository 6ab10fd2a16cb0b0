#include "worker/model/generate/generate.h"

#include <ATen/Parallel.h>

#include <filesystem>
#include <set>

#include "gtest/gtest.h"
#include "tests/support/shared_dir.h"
#include "tests/support/test_device.h"
#include "worker/model/run/small_model_fixture.h"

namespace ft::generate {
namespace {

std::unique_ptr<run::LanguageModel> Golden(const std::string& name) {
  at::set_num_threads(1);
  const auto folder = std::filesystem::path(FT_SOURCE_DIR) / "tests" / "golden" / name;
  auto loaded = run::LanguageModel::LoadFolder(folder, {.device = TestDevice()});
  EXPECT_TRUE(loaded.ok()) << Message(loaded.status());
  return *std::move(loaded);
}

std::vector<int32_t> WithoutCache(const run::LanguageModel& model, std::vector<int32_t> ids, int count) {
  std::vector<int32_t> added;
  for (int i = 0; i < count; ++i) {
    ids.push_back(model.Logits(run::PackRows({{ids, {}, /*key=*/0}}, /*seed=*/0, /*step=*/0))[-1]
                      .argmax()
                      .item<int32_t>());
    added.push_back(ids.back());
  }
  return added;
}

TEST(Generate, TheCacheChangesNoToken) {
  for (const char* name : {"llama_mha", "llama_gqa_llama3rope", "internlm2", "baichuan2_13b_alibi_normhead",
                           "chatglm2", "gpt_bigcode_mqa", "gemma2_softcap", "qwen3_qknorm"}) {
    const auto model = Golden(name);
    const std::vector<int32_t> prompt = {5, 77, 120};
    const auto cached = Generate(*model, prompt, {.max_new_tokens = 30});
    ASSERT_TRUE(cached.ok());
    EXPECT_EQ(*cached, WithoutCache(*model, prompt, 30)) << name;
  }
}

TEST(Generate, AnglesThatChangeWithTheLengthDropTheCache) {
  auto config = Golden("llama_mha")->config();
  config.max_positions = 12;
  config.rotaries.front().scaling = {.kind = model::RopeScaling::Kind::kDynamic, .factor = 2};
  const auto folder = std::filesystem::path(FT_SOURCE_DIR) / "tests" / "golden" / "llama_mha";
  const auto source = weights::OpenWeights(folder);
  ASSERT_TRUE(source.ok());
  const auto model = run::LanguageModel::Load(config, **source, {.device = TestDevice()});
  ASSERT_TRUE(model.ok());
  const std::vector<int32_t> prompt = {5, 77, 120, 9, 8, 7};
  const auto cached = Generate(**model, prompt, {.max_new_tokens = 20});
  ASSERT_TRUE(cached.ok());
  EXPECT_EQ(*cached, WithoutCache(**model, prompt, 20));
}

// Of a model in 4 bits whose rows are whole blocks. Without a cache the rows are more than few, and on the CPU go through panels.
TEST(Generate, FewRowsOfFourBitsGiveWhatPanelsGive) {
  at::set_num_threads(1);
  model::DecoderConfig config = run::SmallConfig();
  config.hidden = 64;
  config.head_size = 16;
  config.intermediate = 128;
  const std::vector<int32_t> prompt = {5, 7, 12, 30, 1, 2, 36, 8, 9, 10};
  for (const auto& [dtype, tolerance] : {std::pair{"fp32", 1e-3}, std::pair{"bf16", 0.05}}) {
    SCOPED_TRACE(dtype);
    const auto model =
        run::LanguageModel::Load(config, run::RandomWeights(config),
                                 {.dtype = dtype, .base = params::BaseKind::kNf4, .device = TestDevice()});
    ASSERT_TRUE(model.ok()) << Message(model.status());
    for (const size_t length : {1, 8}) {
      const std::vector<int32_t> few(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(length));
      const auto logits = NextLogits(**model, few);
      ASSERT_TRUE(logits.ok());
      const torch::Tensor panels =
          (*model)->Logits(run::PackRows({{few, {}, /*key=*/0}}, 0, 0))[-1].to(at::kCPU, at::kFloat);
      const torch::Tensor error = (torch::tensor(*logits) - panels).abs();
      EXPECT_LE(error.max().item<double>(), tolerance * panels.abs().max().item<double>()) << length;
    }
    if (std::string_view(dtype) == "fp32") {
      EXPECT_EQ(*Generate(**model, prompt, {.max_new_tokens = 20}), WithoutCache(**model, prompt, 20));
    }
  }
}

TEST(Generate, StopsAtStopIdsAtTheSinkAndAtTheLimit) {
  const auto model = Golden("llama_mha");
  const std::vector<int32_t> prompt = {5, 77, 120};
  const std::vector<int32_t> all = *Generate(*model, prompt, {.max_new_tokens = 8});
  ASSERT_EQ(all.size(), 8u);
  size_t before = 0;  // Tokens before the first that equals the last.
  while (all[before] != all[7]) ++before;
  EXPECT_EQ(Generate(*model, prompt, {.max_new_tokens = 8, .stop_ids = {all[7]}})->size(), before);
  std::vector<int32_t> streamed;
  const auto until_three = [&](int32_t token) {
    streamed.push_back(token);
    return streamed.size() < 3;
  };
  EXPECT_EQ(Generate(*model, prompt, {.max_new_tokens = 8}, until_three)->size(), 3u);
  EXPECT_EQ(streamed, std::vector<int32_t>(all.begin(), all.begin() + 3));
  EXPECT_TRUE(Generate(*model, prompt, {.max_new_tokens = 0})->empty());
}

TEST(Generate, SamplingFollowsItsSeed) {
  const auto model = Golden("llama_mha");
  const std::vector<int32_t> prompt = {5, 77, 120};
  const GenerateOptions options{.max_new_tokens = 20, .temperature = 1.5, .seed = 4};
  GenerateOptions other = options;
  other.seed = 5;
  EXPECT_EQ(*Generate(*model, prompt, options), *Generate(*model, prompt, options));
  EXPECT_NE(*Generate(*model, prompt, options), *Generate(*model, prompt, other));
}

TEST(Generate, WrongInputIsRefused) {
  const auto model = Golden("llama_mha");
  const std::vector<int32_t> prompt = {5};
  EXPECT_FALSE(Generate(*model, {}, {}).ok());
  EXPECT_FALSE(Generate(*model, std::vector<int32_t>{5, 259}, {}).ok());
  EXPECT_FALSE(Generate(*model, std::vector<int32_t>{-1}, {}).ok());
  EXPECT_FALSE(Generate(*model, prompt, {.temperature = -1}).ok());
  EXPECT_FALSE(Generate(*model, prompt, {.top_p = 0}).ok());
}

// Keskar et al. (arXiv 1909.05858), as Hugging Face computes it: one factor a token, however often it is there.
TEST(PenaliseRepetition, TakesEachTokenThatIsThereOnce) {
  std::vector<float> logits = {4, -4, 0.5f, -1};
  PenaliseRepetition(logits, std::vector<int64_t>{0, 1, 0, 0, 1}, 2);
  EXPECT_EQ(logits, (std::vector<float>{2, -8, 0.5f, -1}));
  PenaliseRepetition(logits, std::vector<int64_t>{0, 1, 2, 3}, 1);
  EXPECT_EQ(logits, (std::vector<float>{2, -8, 0.5f, -1}));
}

TEST(Generate, APenaltyKeepsWordsFromComingAgain) {
  const auto model = Golden("llama_mha");
  const std::vector<int32_t> prompt = {5, 77, 120};
  const std::vector<int32_t> plain = *Generate(*model, prompt, {.max_new_tokens = 24});
  const std::vector<int32_t> other =
      *Generate(*model, prompt, {.max_new_tokens = 24, .repetition_penalty = 1e6});
  const auto kinds = [](const std::vector<int32_t>& ids) {
    return std::set<int32_t>(ids.begin(), ids.end()).size();
  };
  EXPECT_LT(kinds(plain), 24u) << "repeats nothing, so there is nothing to see";
  EXPECT_EQ(kinds(other), 24u);
  EXPECT_EQ(*Generate(*model, prompt, {.max_new_tokens = 24, .repetition_penalty = 1}), plain);
  EXPECT_FALSE(Generate(*model, prompt, {.repetition_penalty = 0}).ok());
}

TEST(ChooseToken, FollowsTheDrawWithinTopKAndTheNucleus) {
  // Probabilities 0.1, 0.6, 0.3 at temperature 1.
  const std::vector<float> logits = {std::log(0.1f), std::log(0.6f), std::log(0.3f)};
  const auto choose = [&](GenerateOptions options, double draw) {
    options.temperature = options.temperature == 0 ? 1 : options.temperature;
    return ChooseToken(logits, options, draw);
  };
  EXPECT_EQ(ChooseToken(logits, {}, 0.99), 1);
  EXPECT_EQ(choose({}, 0.0), 1);
  EXPECT_EQ(choose({}, 0.59), 1);
  EXPECT_EQ(choose({}, 0.61), 2);
  EXPECT_EQ(choose({}, 0.95), 0);
  EXPECT_EQ(choose({.top_k = 2}, 0.99), 2);
  EXPECT_EQ(choose({.top_k = 1}, 0.99), 1);
  EXPECT_EQ(choose({.top_p = 0.5}, 0.99), 1);
  EXPECT_EQ(choose({.top_p = 0.7}, 0.99), 2);
  EXPECT_EQ(ChooseToken(std::vector<float>{1, 3, 3}, {}, 0), 1);  // The first of equals.
}

}  // namespace
}  // namespace ft::generate
