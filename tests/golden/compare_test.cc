#include "tests/golden/compare.h"

#include <ATen/Parallel.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/golden/not_built.h"
#include "tests/golden/run_case.h"
#include "tests/support/shared_dir.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/model/ops/kernel_table.h"

namespace ft::golden {
namespace {

namespace fs = std::filesystem;

class Golden : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

// With the sources.
class KeptCase : public Golden {};
TEST_P(KeptCase, Passes) {
  const CaseResult result = RunCase(fs::path(FT_SOURCE_DIR) / "tests" / "golden" / GetParam(), "fp32");
  EXPECT_TRUE(result.passed()) << result.Line();
}
INSTANTIATE_TEST_SUITE_P(All, KeptCase,
                         ::testing::Values("llama_mha", "llama_gqa_llama3rope", "deepseek_coder_linear",
                                           "nf4"));

std::vector<std::string> Names(const CaseResult& result) {
  std::vector<std::string> names;
  for (const Measure& measure : result.measures) names.push_back(measure.name);
  return names;
}

// A part of the comparison that finds nothing to compare must not pass for one that agrees.
TEST(ModelCase, ComparesAllThatIsExpected) {
  at::set_num_threads(1);
  const fs::path kept = fs::path(FT_SOURCE_DIR) / "tests" / "golden";
  EXPECT_THAT(Names(RunCase(kept / "llama_gqa_llama3rope", "fp32")),
              ::testing::ElementsAre("logits", "loss", "grad", "long.logits", "long.loss", "greedy",
                                     "greedy.cached", "lora.logits", "lora.loss", "lora.grad"));
}

// With the base as it is stored, and with the model quantised here.
TEST(QloraStep, PassesOnTheStoredBaseAndOnOurs) {
  at::set_num_threads(1);
  const CaseResult result = RunCase(fs::path(FT_SOURCE_DIR) / "tests" / "golden" / "qlora_step", "fp32");
  EXPECT_TRUE(result.passed()) << result.Line();
  EXPECT_THAT(Names(result),
              ::testing::ElementsAre("logits", "loss", "grad", "norm", "adapter", "own.loss", "own.adapter"));
}

// Beside the checkout only.
class SharedCase : public Golden {};
TEST_P(SharedCase, Passes) {
  const auto shared = ft::testing::SharedDir();
  if (!shared.has_value()) GTEST_SKIP() << "needs the folder shared/golden beside the checkout";
  const CaseResult result = RunCase(*shared / "golden" / GetParam(), "fp32");
  EXPECT_TRUE(result.passed()) << result.Line();
}
INSTANTIATE_TEST_SUITE_P(All, SharedCase,
                         ::testing::Values("llama_attention_bias", "llama_dynamic_ntk", "yi_gqa",
                                           "tokenizer"));

// By the limits of what multiplies: where bfloat16 is multiplied, also as FT_TEST_BF16_PRODUCTS asks, root mean squares are compared.
class Bfloat16 : public Golden {};
TEST_P(Bfloat16, LogitsStayWithinTheFormatsLimit) {
  const CaseResult result =
      RunCase(fs::path(FT_SOURCE_DIR) / "tests" / "golden" / GetParam(), "bf16", TestDevice());
  EXPECT_TRUE(result.passed()) << result.Line();
  const std::string logits = ops::KernelsFor(TestDevice()).multiplies_bf16() ? "logits.rms" : "logits";
  EXPECT_THAT(Names(result), ::testing::Contains(logits));
}
INSTANTIATE_TEST_SUITE_P(All, Bfloat16,
                         ::testing::Values("llama_mha", "llama_gqa_llama3rope", "deepseek_coder_linear"));

// Adapters too: the products are float32, and rounding the weights costs little at eleven bits.
class Float16 : public Golden {};
TEST_P(Float16, LogitsStayWithinTheFormatsLimit) {
  const CaseResult result = RunCase(fs::path(FT_SOURCE_DIR) / "tests" / "golden" / GetParam(), "fp16");
  ASSERT_TRUE(result.passed()) << result.Line();
  // Weights that were not rounded would be far closer. Some cases store the base in 16 bits, none its adapter.
  for (const Measure& measure : result.measures) {
    EXPECT_TRUE(measure.name != "lora.logits" || measure.error > 1e-4) << result.Line();
  }
}
INSTANTIATE_TEST_SUITE_P(All, Float16,
                         ::testing::Values("llama_mha", "llama_gqa_llama3rope", "deepseek_coder_linear"));

TEST(GoldenResult, AWorseMeasureReplacesABetterOneAndNanIsWorst) {
  std::vector<Measure> measures;
  Record(measures, {"logits", 1e-6, 2e-5});
  Record(measures, {"logits", 3e-6, 2e-5});
  Record(measures, {"logits", 2e-6, 2e-5});
  ASSERT_EQ(measures.size(), 1u);
  EXPECT_EQ(measures[0].error, 3e-6);
  Record(measures, {"logits", std::nan(""), 2e-5});
  EXPECT_FALSE(measures[0].passed());
}

// Cases that pass are those kept with the sources, cases that fail folders without any file.
class CompareTest : public ::testing::Test {
 protected:
  const fs::path kept_ = fs::path(FT_SOURCE_DIR) / "tests" / "golden";

  fs::path List(const std::string& text) {
    std::ofstream(folder_ / "not_built.txt") << text;
    return folder_ / "not_built.txt";
  }
  fs::path EmptyCase(const std::string& name) {
    fs::create_directories(folder_ / "cases" / name);
    return folder_ / "cases";
  }
  // The answer, and what was printed.
  StatusOr<bool> Run(const CompareOptions& options) {
    at::set_num_threads(1);
    std::ostringstream out;
    const StatusOr<bool> answer = Compare(options, out);
    printed_ = out.str();
    return answer;
  }

  ft::testing::TempDir folder_;
  std::string printed_;
};

TEST_F(CompareTest, AListOfGlobsSelects) {
  const auto answer = Run({.dir = kept_, .globs = {"nf4", "qlora*"}});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(*answer) << printed_;
  EXPECT_THAT(printed_,
              ::testing::AllOf(::testing::HasSubstr("PASS nf4"), ::testing::HasSubstr("PASS qlora_step"),
                               ::testing::HasSubstr("2 of 2 cases pass\n")));
}

TEST_F(CompareTest, ACaseItselfIsAFolderOfOne) {
  const auto answer = Run({.dir = kept_ / "nf4"});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_TRUE(*answer) << printed_;
  EXPECT_THAT(printed_, ::testing::HasSubstr("1 of 1 cases pass"));
  EXPECT_TRUE(absl::IsNotFound(Run({.dir = kept_ / "nf4", .globs = {"llama*"}}).status()));
}

TEST_F(CompareTest, AGlobThatMatchesNothingIsAnError) {
  for (const auto& globs : std::vector<std::vector<std::string>>{{"no-such-case"}, {"nf4", "no-such-case"}}) {
    const auto answer = Run({.dir = kept_, .globs = globs});
    ASSERT_TRUE(absl::IsNotFound(answer.status())) << answer.status();
    EXPECT_THAT(std::string(Message(answer.status())), ::testing::HasSubstr("no case matches no-such-case"));
    EXPECT_EQ(printed_, "");
  }
}

TEST_F(CompareTest, AFailingCaseIsCountedUnlessItIsListed) {
  const fs::path cases = EmptyCase("baichuan_9b");
  const auto unlisted = Run({.dir = cases});
  ASSERT_TRUE(unlisted.ok()) << unlisted.status();
  EXPECT_FALSE(*unlisted);
  EXPECT_THAT(printed_, ::testing::AllOf(::testing::HasSubstr("FAIL baichuan_9b  unsupported: "),
                                         ::testing::HasSubstr("0 of 1 cases pass\n")));
  const auto listed = Run(
      {.dir = cases, .not_built = List("# families\n\ngemma* its norms\nbaichuan*\tits packed weights\n")});
  ASSERT_TRUE(listed.ok()) << listed.status();
  EXPECT_TRUE(*listed);
  EXPECT_THAT(printed_, ::testing::AllOf(
                            ::testing::HasSubstr("NOT BUILT baichuan_9b  its packed weights  (unsupported: "),
                            ::testing::HasSubstr("0 of 0 cases pass, 1 are not built\n")));
}

TEST_F(CompareTest, AListedCaseThatPassesMustBeTakenOffTheList) {
  const auto answer =
      Run({.dir = kept_, .globs = {"nf4"}, .not_built = List("gemma* its norms\nnf? 4 bits\n")});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_FALSE(*answer);
  EXPECT_THAT(printed_,
              ::testing::AllOf(
                  ::testing::HasSubstr("FAIL nf4  passes, but "),
                  ::testing::HasSubstr("not_built.txt line 2 lists it as not built: take it off the list"),
                  ::testing::HasSubstr("0 of 0 cases pass, 1 must be taken off the list\n")));
}

TEST_F(CompareTest, AListedGlobWithoutAReasonIsRefusedByLine) {
  const auto answer = Run({.dir = kept_, .globs = {"nf4"}, .not_built = List("gemma* its norms\nnf4  \n")});
  ASSERT_TRUE(absl::IsInvalidArgument(answer.status())) << answer.status();
  EXPECT_THAT(std::string(Message(answer.status())), ::testing::HasSubstr("line 2: write a glob"));
}

// The list in the repository: readable, and silent about what is kept here.
TEST_F(CompareTest, TheListOfThisFolderNamesNoKeptCase) {
  const auto list = ReadNotBuilt(kept_ / "not_built.txt");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_FALSE(list->empty());
  for (const char* name : {"llama_mha", "llama_gqa_llama3rope", "llama_attention_bias", "llama_dynamic_ntk",
                           "yi_gqa", "deepseek_coder_linear", "nf4", "qlora_step", "tokenizer"}) {
    EXPECT_EQ(Find(*list, name), nullptr) << name;
  }
}

TEST_F(CompareTest, TheVerbsArguments) {
  EXPECT_TRUE(absl::IsNotFound(CompareVerb({"/nonexistent-folder"}).status()));
  EXPECT_TRUE(absl::IsNotFound(CompareVerb({kept_.string(), "--cases", "nf4, no-such-case-*"}).status()));
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {}, {"--frobnicate"}, {"dir", "--dtype", "fp8"}, {"dir", "--cases", " ,"}, {"dir", "another"}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CompareVerb(wrong).status())) << ::testing::PrintToString(wrong);
  }
}

TEST(RunCase, AnUnsupportedFamilyIsNamedAndFails) {
  const auto shared = ft::testing::SharedDir();
  if (!shared.has_value()) GTEST_SKIP() << "needs the folder shared/golden beside the checkout";
  const CaseResult result = RunCase(*shared / "golden" / "qwen3_5_text", "fp32");
  EXPECT_FALSE(result.passed());
  EXPECT_NE(result.Line().find("unsupported: "), std::string::npos) << result.Line();
  EXPECT_NE(result.Line().find("qwen3_5_text"), std::string::npos);
}

}  // namespace
}  // namespace ft::golden
