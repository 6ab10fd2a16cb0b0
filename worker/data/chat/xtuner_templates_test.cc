// The named templates beside the worked examples of XTuner 0.1.9 and 0.1.23, where the folder shared lies beside the checkout: ids and
// labels of each.
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/recipe/yaml_tree.h"
#include "tests/support/shared_dir.h"
#include "tests/support/temp_dir.h"
#include "worker/data/chat/chat_template.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"

namespace ft::data {
namespace {

using Json = nlohmann::ordered_json;

class XtunerTemplatesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto shared = ft::testing::SharedDir();
    if (!shared) GTEST_SKIP() << "shared/reference is not beside this checkout";
    const StatusOr<std::string> text = ReadFile(*shared / "reference/prompt_templates.yaml");
    ASSERT_TRUE(text.ok()) << text.status();
    reference_ = recipe::ReadYaml(*text).root;
    ASSERT_TRUE(reference_.is_object());
    tokenizer::WriteTinyTokenizer(dir_.path(), tokenizer::TinyTokenizerJson(),
                                  tokenizer::TinyTokenizerConfig());
    auto opened = tokenizer::OpenTokenizer(dir_.path());
    ASSERT_TRUE(opened.ok()) << opened.status();
    tokenizer_ = *std::move(opened);
  }
  // An example: pairs of a text, or BOS or EOS, and whether it carries loss. Each is tokenised alone.
  TokenizedSample Wanted(const Json& example) const {
    TokenizedSample sample;
    for (const Json& item : example) {
      const std::string text = item[0].get<std::string>();
      const std::vector<int32_t> ids = text == "BOS"   ? tokenizer_->bos_ids()
                                       : text == "EOS" ? std::vector<int32_t>{tokenizer_->eos_id()}
                                                       : *tokenizer_->Encode(text);
      sample.ids.insert(sample.ids.end(), ids.begin(), ids.end());
      sample.loss_mask.insert(sample.loss_mask.end(), ids.size(), static_cast<uint8_t>(item[1].get<int>()));
    }
    return sample;
  }
  void Compare(const std::string& name, const Conversation& turns, const Json& example) const {
    const auto opened = ChatTemplate::Open(name, *tokenizer_);
    ASSERT_TRUE(opened.ok()) << name << ": " << opened.status();
    const auto sample = TokenizeConversation(*tokenizer_, *opened, turns, TokenizeMode::kPieces);
    ASSERT_TRUE(sample.ok()) << name << ": " << sample.status();
    const TokenizedSample wanted = Wanted(example);
    EXPECT_EQ(sample->ids, wanted.ids) << name;
    EXPECT_EQ(sample->loss_mask, wanted.loss_mask) << name;
  }
  ft::testing::TempDir dir_;
  Json reference_;
  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
};

TEST_F(XtunerTemplatesTest, IdsAndLabelsOfEachTemplateEqualItsExample) {
  const Conversation turns = {{.system = "S", .input = "Q1", .output = "A1"},
                              {.input = "Q2", .output = "A2"}};
  ASSERT_EQ(reference_["examples_v0_1_9"].size(), 12u);
  ASSERT_EQ(reference_["examples_v0_1_9"].size(), reference_["templates_v0_1_9"].size());
  for (const auto& [name, example] : reference_["examples_v0_1_9"].items())
    Compare(name + "@0.1.9", turns, example);
  ASSERT_GE(reference_["examples_v0_1_23"].size(), 25u);
  for (const auto& [name, example] : reference_["examples_v0_1_23"].items()) Compare(name, turns, example);
}

TEST_F(XtunerTemplatesTest, AnEmptyQuestionIsWrittenAsEachVersionWritesIt) {
  const Conversation turns = {{.system = "S", .output = "A"}};
  Compare("internlm_chat@0.1.9", turns, reference_["example_empty_input"]["v0_1_9"]);
  Compare("internlm_chat", turns, reference_["example_empty_input"]["v0_1_23"]);
}

}  // namespace
}  // namespace ft::data
