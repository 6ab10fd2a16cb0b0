// convert, merge and export of results of every kind, by their verbs.
#include "worker/rank/model_verbs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>
#include <torch/utils.h>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "tests/support/temp_dir.h"
#include "worker/model/ops/int8.h"
#include "worker/model/ops/nf4.h"
#include "worker/model/params/store_fixture.h"
#include "worker/rank/agreement.h"
#include "worker/train/checkpoint/adapter.h"
#include "worker/train/checkpoint/write_model.h"

namespace ft::rank {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kProjection = "model.layers.0.self_attn.q_proj";

class CasesVerbs : public ::testing::Test {
 protected:
  CasesVerbs() : base_(fs::path(FT_SOURCE_DIR) / "tests/golden/llama_mha") {
    torch::manual_seed(3);
    // Of the size of the weights it is added to, as training leaves it.
    a_ = 0.1 * torch::randn({2, 64}), b_ = 0.1 * torch::randn({64, 2});
  }
  // An adapter of the given method, as a job leaves it.
  std::string Adapter(const std::string& method, const std::string& base) {
    const std::string name = StrCat("base_model.model.", kProjection);
    EXPECT_TRUE(checkpoint::WriteAdapter(
                    {.dir = dir_ / "a",
                     .config = {.rank = 2, .alpha = 4, .targets = {"q_proj"}, .base_model = base},
                     .text = {.method = method}},
                    *params::MakeStore({{name + ".lora_A.weight", a_}, {name + ".lora_B.weight", b_}}))
                    .ok());
    return At("a");
  }
  // What a full fine-tuning leaves.
  std::string Whole() {
    EXPECT_TRUE(
        checkpoint::WriteTrainedModel({.model = base_, .out = dir_ / "whole", .text = {.method = "full"}},
                                      *params::MakeStore({{StrCat(kProjection, ".weight"), a_}}))
            .ok());
    return At("whole");
  }
  std::string At(const std::string& name) { return (dir_ / name).string(); }
  torch::Tensor Read(const fs::path& model) {
    const auto source = weights::OpenWeights(model);
    EXPECT_TRUE(source.ok()) << source.status();
    const weights::TensorInfo* info = (*source)->Find(StrCat(kProjection, ".weight"));
    EXPECT_NE(info, nullptr);
    torch::Tensor value = torch::empty(info->shape);
    EXPECT_TRUE(ReadFloat32(**source, *info, {value.data_ptr<float>(), info->elements()}).ok());
    return value;
  }
  std::string Output(const std::function<int()>& verb, int expected = 0) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(verb(), expected);
    return ::testing::internal::GetCapturedStdout() + ::testing::internal::GetCapturedStderr();
  }
  const fs::path base_;
  ft::testing::TempDir dir_;
  torch::Tensor a_, b_;
};

// Newcomers met a chat over NF4 and a merged model over the stored base, which answered otherwise.
TEST_F(CasesVerbs, MergeUsesTheBaseThatChatUsesAndSaysWhich) {
  const torch::Tensor stored = Read(base_), delta = 2 * torch::matmul(b_, a_);
  const torch::Tensor quantised = ops::DequantiseNf4(ops::QuantiseNf4(stored), torch::kFloat32);
  const auto merge = [&](const std::string& method, const std::vector<std::string>& more) {
    fs::remove_all(dir_ / "out");
    std::vector<std::string> arguments = {
        "--adapter", Adapter(method, base_.string()), "--out", At("out"), "--dtype", "fp32"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Output([&] { return MergeVerb(arguments); });
  };
  EXPECT_THAT(merge("qlora", {}),
              AllOf(HasSubstr("changed 1 weights"), HasSubstr("4 bits (NF4), as in training")));
  EXPECT_TRUE(torch::allclose(Read(dir_ / "out"), quantised + delta));
  EXPECT_EQ(checkpoint::ReadTextConfig(dir_ / "out")->method, "qlora");
  EXPECT_THAT(merge("qlora", {"--base", "stored"}), HasSubstr("not as in training: answers may differ"));
  EXPECT_TRUE(torch::allclose(Read(dir_ / "out"), stored + delta));
  EXPECT_THAT(merge("lora", {}), HasSubstr("as stored, as in training"));
  EXPECT_TRUE(torch::allclose(Read(dir_ / "out"), stored + delta));
}

TEST_F(CasesVerbs, AMergeThatRoundsSaysSo) {
  const std::vector<std::string> arguments = {"--adapter", Adapter("lora", base_.string()), "--out"};
  const auto merge = [&](const std::string& out, const std::string& dtype) {
    std::vector<std::string> all = arguments;
    all.insert(all.end(), {At(out), "--dtype", dtype});
    return Output([&] { return MergeVerb(all); });
  };
  EXPECT_THAT(merge("a16", "bf16"), HasSubstr("rounded to bfloat16: --dtype fp32"));
  EXPECT_THAT(merge("a32", "fp32"), Not(HasSubstr("rounded")));
}

TEST_F(CasesVerbs, AMergeSaysHowFarItsLogitsAreAndOneThatIsAnotherModelIsNotWithin) {
  const std::string adapter = Adapter("lora", base_.string());
  EXPECT_THAT(Output([&] {
                return MergeVerb({"--adapter", adapter, "--out", At("out"), "--dtype", "fp32"});
              }),
              AllOf(HasSubstr("its logits differ from those of base and adapter by "),
                    HasSubstr(" of the largest over 32 prompts (at most 0.001)")));
  const auto trained = ResolveTrained("", adapter);
  ASSERT_TRUE(trained.ok()) << trained.status();
  const checkpoint::WrittenModel written{.bytes = 1 << 20, .dtype = "float32"};
  const auto same = CompareMerged(*trained, params::BaseKind::kStored, dir_ / "out", written);
  ASSERT_TRUE(same.ok() && same->has_value()) << same.status();
  EXPECT_TRUE((*same)->within()) << (*same)->difference;
  const auto other = CompareMerged(*trained, params::BaseKind::kStored, base_, written);
  ASSERT_TRUE(other.ok() && other->has_value()) << other.status();
  EXPECT_FALSE((*other)->within()) << (*other)->difference;
  // What does not fit into memory is not loaded.
  const auto none = CompareMerged(*trained, params::BaseKind::kStored, At("gone"),
                                  {.bytes = int64_t{1} << 50, .dtype = "float32"});
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_FALSE(none->has_value());
}

// 144
TEST_F(CasesVerbs, TheResultOfAFullFineTuningIsMergedAndExportedWhole) {
  const std::string whole = Whole();
  EXPECT_THAT(
      Output([&] {
        return MergeVerb({"--model", At("gone"), "--adapter", whole, "--out", At("m"), "--dtype", "bf16"});
      }),
      HasSubstr("the model of a full fine-tuning as it is"));
  EXPECT_TRUE(torch::allclose(Read(dir_ / "m"), a_, 1e-2));
  EXPECT_EQ(json::parse(*ReadFile(dir_ / "m/config.json"))["torch_dtype"], "bfloat16");
  EXPECT_THAT(Output([&] {
                return ExportVerb({"--model", At("gone"), "--adapter", whole, "--out", At("e")});
              }),
              HasSubstr("the whole model"));
  EXPECT_TRUE(torch::equal(Read(dir_ / "e"), a_));
  EXPECT_EQ(json::parse(*ReadFile(dir_ / "e/config.json"))["torch_dtype"], "float32");
  EXPECT_TRUE(fs::exists(dir_ / "e/finetuned.json"));
  EXPECT_THAT(Output(
                  [&] {
                    return ExportVerb({"--adapter", whole, "--out", At("f"), "--base", "stored"});
                  },
                  2),
              HasSubstr("needs no base"));
  EXPECT_FALSE(fs::exists(dir_ / "f"));
}

// Newcomer 9: AutoPeftModel loads the base that adapter_config.json names.
TEST_F(CasesVerbs, AnExportedAdapterNamesTheBaseBesideIt) {
  EXPECT_THAT(
      Output([&] {
        return ExportVerb({"--adapter", Adapter("lora", base_.string()), "--out", At("e"), "--base", "auto"});
      }),
      HasSubstr("as stored, as in training"));
  EXPECT_EQ(json::parse(*ReadFile(dir_ / "e/adapter_config.json"))["base_model_name_or_path"], At("e/base"));
  EXPECT_TRUE(torch::equal(Read(dir_ / "e/base"), Read(base_)));
}

TEST_F(CasesVerbs, AnAdapterOverAGgufFileSaysWhatPeftNeeds) {
  EXPECT_THAT(Output([&] {
                return ExportVerb({"--adapter", Adapter("qlora", "/models/m.gguf"), "--out", At("e")});
              }),
              AllOf(HasSubstr("/models/m.gguf is a GGUF file, which PEFT does not read"),
                    HasSubstr("--base auto"), HasSubstr("ftctl convert /models/m.gguf DIR")));
  EXPECT_EQ(json::parse(*ReadFile(dir_ / "e/adapter_config.json"))["base_model_name_or_path"],
            "/models/m.gguf");
  EXPECT_THAT(Output([&] {
                return ExportVerb({"--adapter", Adapter("qlora", "/models/m"), "--out", At("q")});
              }),
              AllOf(HasSubstr("trained over /models/m in 4 bits (NF4)"), HasSubstr("answers may differ")));
}

// 160
TEST_F(CasesVerbs, ABaseOnAHubLeavesNothingBehind) {
  const std::string adapter = Adapter("lora", "meta-llama/Llama-2-7b-hf");
  EXPECT_THAT(Output(
                  [&] {
                    return MergeVerb({"--adapter", adapter, "--out", At("m")});
                  },
                  1),
              AllOf(HasSubstr("meta-llama/Llama-2-7b-hf"), HasSubstr("--model DIR")));
  EXPECT_THAT(Output(
                  [&] {
                    return ExportVerb({"--adapter", adapter, "--out", At("e"), "--base", "stored"});
                  },
                  1),
              HasSubstr("--model DIR"));
  EXPECT_FALSE(fs::exists(dir_ / "m") || fs::exists(dir_ / "e"));
  EXPECT_THAT(Output([&] {
                return MergeVerb({"--adapter", adapter, "--model", base_.string(), "--out", At("m")});
              }),
              HasSubstr("changed 1 weights"));
}

TEST_F(CasesVerbs, AnAdapterOfAnInt8JobIsMergedIntoItsBaseInEightBits) {
  const torch::Tensor stored = Read(base_), delta = 2 * torch::matmul(b_, a_);
  const std::string said = Output([&] {
    return MergeVerb(
        {"--adapter", Adapter("int8_lora", base_.string()), "--out", At("out"), "--dtype", "fp32"});
  });
  EXPECT_THAT(said, HasSubstr("its weights in 8 bits (by rows), as in training"));
  EXPECT_THAT(said, HasSubstr("its logits differ from those of base and adapter by"));
  const torch::Tensor quantised = ops::DequantiseInt8(ops::QuantiseInt8(stored), torch::kFloat32);
  EXPECT_TRUE(torch::allclose(Read(dir_ / "out"), quantised + delta));
  EXPECT_FALSE(torch::allclose(Read(dir_ / "out"), stored + delta));
}

TEST_F(CasesVerbs, ExpertsOfAnAdapterAreExportedInTheFormThatIsAskedFor) {
  const std::string adapter = Adapter("lora", base_.string());
  const auto refused = [&](const std::string& form) {
    return Output([&] { return ExportVerb({"--adapter", adapter, "--out", At("e"), "--experts", form}); }, 2);
  };
  EXPECT_THAT(refused("whole"), HasSubstr("--experts 'whole' is none of: split, fused"));
  EXPECT_THAT(refused("fused"), HasSubstr("--experts has no meaning for this model, which has none"));
  EXPECT_FALSE(fs::exists(dir_ / "e"));
}

}  // namespace
}  // namespace ft::rank
