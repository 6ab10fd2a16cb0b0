#include "worker/data/chat/chat_template.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "tests/support/shared_dir.h"
#include "tests/support/temp_dir.h"
#include "worker/data/tokenizer/tiny_tokenizer.h"

namespace ft::data {
namespace {

using tokenizer::Tokenizer;
using Piece = ChatTemplate::Piece;
using Kind = Piece::Kind;
using Ids = std::vector<int32_t>;

// Writes ChatML as SmolLM2's template does.
constexpr std::string_view kChatmlJinja =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

std::unique_ptr<Tokenizer> OpenTiny(std::string_view chat_template, bool has_eos = true) {
  const ft::testing::TempDir dir;
  nlohmann::json config = tokenizer::TinyTokenizerConfig();
  config["chat_template"] = std::string(chat_template);
  if (!has_eos) config.erase("eos_token");
  tokenizer::WriteTinyTokenizer(dir.path(), tokenizer::TinyTokenizerJson(), config);
  auto opened = tokenizer::OpenTokenizer(dir.path());
  FT_CHECK(opened.ok()) << opened.status();
  return *std::move(opened);
}

ChatTemplate OpenTemplate(std::string_view name, const Tokenizer& tokenizer) {
  auto opened = ChatTemplate::Open(name, tokenizer);
  FT_CHECK(opened.ok()) << opened.status();
  return *std::move(opened);
}

const Conversation& TwoTurns() {
  static const Conversation turns = {{.system = "S", .input = "Q1", .output = "A1"},
                                     {.input = "Q2", .output = "A2"}};
  return turns;
}

Piece Text(const std::string& text, bool loss = false) { return {.text = text, .loss = loss}; }
const Piece kBos = {.kind = Kind::kBos};
const Piece kEos = {.kind = Kind::kEos, .loss = true};

std::vector<std::string> Supervised(const Rendered& rendered) {
  std::vector<std::string> texts;
  for (const ByteSpan& span : rendered.supervised)
    texts.push_back(rendered.text.substr(span.begin, span.end - span.begin));
  return texts;
}

TEST(NamedTemplateTest, PiecesFollowXTuner) {
  const auto tiny = OpenTiny("");
  EXPECT_EQ(
      *OpenTemplate("qwen_chat", *tiny).Pieces(TwoTurns()),
      (std::vector<Piece>{
          kBos,
          Text("<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\n"),
          Text("A1<|im_end|>", true), Text("\n"),
          Text("<|im_start|>user\nQ2<|im_end|>\n<|im_start|>assistant\n"), Text("A2<|im_end|>", true),
          Text("\n")}));
  EXPECT_EQ(*OpenTemplate("default", *tiny).Pieces(TwoTurns()),
            (std::vector<Piece>{kBos, Text("<|System|>:S\n<|User|>:Q1\n<|Bot|>:"), Text("A1", true), kEos,
                                Text("\n"), kBos, Text("<|User|>:Q2\n<|Bot|>:"), Text("A2", true), kEos,
                                Text("\n")}));
  EXPECT_EQ(*OpenTemplate("chatglm2@0.1.9", *tiny).Pieces(TwoTurns()),
            (std::vector<Piece>{kBos, Text("S\n\n\n[Round 1]\n\n问：Q1\n\n答："), Text("A1", true), kEos,
                                kBos, Text("\n\n[Round 2]\n\n问：Q2\n\n答："), Text("A2", true), kEos}));
  EXPECT_EQ(*OpenTemplate("gemma", *tiny).Pieces({{.input = "Q", .output = "A"}}),
            (std::vector<Piece>{kBos, Text("<start_of_turn>user\nQ<end_of_turn>\n<start_of_turn>model\n"),
                                Text("A<end_of_turn>", true), kEos, Text("\n")}));
}

TEST(NamedTemplateTest, EmptyInputDependsOnTheVersion) {
  const auto tiny = OpenTiny("");
  const Conversation turns = {{.system = "S", .output = "A"}};
  EXPECT_EQ(*OpenTemplate("internlm_chat@0.1.9", *tiny).Pieces(turns),
            (std::vector<Piece>{kBos, Text("<|System|>:S\n<eoh>\n<|Bot|>:"), Text("A", true), kEos}));
  EXPECT_EQ(*OpenTemplate("internlm_chat", *tiny).Pieces(turns),
            (std::vector<Piece>{kBos, Text("<|System|>:S\n<|User|>:<eoh>\n<|Bot|>:"), Text("A<eoa>", true),
                                Text("\n")}));
}

TEST(NamedTemplateTest, EveryTemplateSupervisesAnswersAndTheirEnd) {
  const auto tiny = OpenTiny("");
  for (const std::string& name : ChatTemplate::Names()) {
    if (name == "model" || name == "minicpm") continue;
    const auto rendered = OpenTemplate(name, *tiny).Render(TwoTurns());
    ASSERT_TRUE(rendered.ok()) << name << rendered.status();
    const auto texts = Supervised(*rendered);
    ASSERT_EQ(texts.size(), 2u) << name;
    EXPECT_TRUE(texts[0].starts_with("A1") && texts[0].size() > 2) << name << ": " << texts[0];
    EXPECT_TRUE(texts[1].starts_with("A2") && texts[1].size() > 2) << name << ": " << texts[1];
  }
}

TEST(NamedTemplateTest, FilledInTextIsNotScannedAgain) {
  const auto tiny = OpenTiny("");
  const auto rendered = OpenTemplate("chatml", *tiny)
                            .Render({{.system = "{input}", .input = "{round}{system}", .output = "{input}"}});
  EXPECT_EQ(rendered->text,
            "<|im_start|>system\n{input}<|im_end|>\n<|im_start|>user\n{round}{system}<|im_end|>\n"
            "<|im_start|>assistant\n{input}<|im_end|>\n");
}

TEST(NamedTemplateTest, TurnsWithoutLossAreOnlyRead) {
  const auto tiny = OpenTiny("");
  Conversation turns = TwoTurns();
  turns[0].loss = false;
  EXPECT_EQ(Supervised(*OpenTemplate("chatml", *tiny).Render(turns)),
            std::vector<std::string>{"A2<|im_end|>"});
}

TEST(NamedTemplateTest, WhatCannotBeRenderedIsRefused) {
  const auto tiny = OpenTiny("");
  EXPECT_TRUE(absl::IsNotFound(ChatTemplate::Open("no_such", *tiny).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ChatTemplate::Open("model", *tiny).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(OpenTemplate("minicpm", *tiny).Render(TwoTurns()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(OpenTemplate("chatml", *tiny).Render({{.output = "\xFF"}}).status()));
  const auto no_eos = OpenTiny("", /*has_eos=*/false);
  EXPECT_TRUE(absl::IsInvalidArgument(ChatTemplate::Open("default", *no_eos).status()));
  EXPECT_TRUE(ChatTemplate::Open("chatml", *no_eos).ok());
}

TEST(ModelTemplateTest, SupervisesTheAnswerAndItsEndMark) {
  const auto tiny = OpenTiny(kChatmlJinja);
  const ChatTemplate model = OpenTemplate("model", *tiny);
  const auto rendered = model.Render(TwoTurns());
  ASSERT_TRUE(rendered.ok()) << rendered.status();
  EXPECT_EQ(rendered->text, OpenTemplate("chatml", *tiny).Render(TwoTurns())->text);
  EXPECT_EQ(Supervised(*rendered), (std::vector<std::string>{"A1<|im_end|>", "A2<|im_end|>"}));
  EXPECT_EQ(model.stop_words(), std::vector<std::string>{"<|im_end|>"});
  EXPECT_EQ(model.StopIds(*tiny), Ids{tokenizer::kTinyImEnd});
  EXPECT_EQ(*model.RenderPrompt({}, {.input = "Q"}),
            "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ModelTemplateTest, GenerationBlocksDecideWhereTheyExist) {
  const auto tiny = OpenTiny(
      "{% for m in messages %}{% if m.role == 'assistant' %}A: {% generation %}{{ m.content }}<|im_end|>{% "
      "endgeneration %}"
      "{% else %}{{ m.content }}{% endif %}{% endfor %}");
  EXPECT_EQ(Supervised(*OpenTemplate("model", *tiny).Render(TwoTurns())),
            (std::vector<std::string>{"A1<|im_end|>", "A2<|im_end|>"}));
}

TEST(ModelTemplateTest, TemplatesThatRewriteEarlierTextAreRefused) {
  const auto tiny = OpenTiny("{{ messages | length }}{% for m in messages %}{{ m.content }}{% endfor %}");
  const Status status = OpenTemplate("model", *tiny).Render(TwoTurns()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_NE(Message(status).find("named template"), std::string_view::npos) << status;
}

TEST(TokenizeConversationTest, WholeMarksAnswersAndEndMarks) {
  const auto tiny = OpenTiny(kChatmlJinja);
  const auto sample = TokenizeConversation(*tiny, OpenTemplate("model", *tiny),
                                           {{.input = "hello", .output = "ab"}}, TokenizeMode::kWhole);
  ASSERT_TRUE(sample.ok()) << sample.status();
  ASSERT_EQ(sample->ids.size(), sample->loss_mask.size());
  Ids learnt;
  for (size_t i = 0; i < sample->ids.size(); ++i) {
    if (sample->loss_mask[i]) learnt.push_back(sample->ids[i]);
  }
  EXPECT_EQ(learnt, (Ids{263, tokenizer::kTinyImEnd}));
  EXPECT_EQ(sample->ids.front(), tokenizer::kTinyImStart);
  EXPECT_EQ(sample->ids.back(), '\n');
  EXPECT_EQ(sample->loss_mask.back(), 0);
}

TEST(TokenizeConversationTest, ATokenAcrossTheBorderIsNotLearnt) {
  // "a" ends the prompt and "b" begins the answer: as one string they are the token "ab".
  const auto tiny =
      OpenTiny("{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}a{% endif %}{% endfor %}");
  const ChatTemplate model = OpenTemplate("model", *tiny);
  const Conversation turns = {{.input = "x ", .output = "b!"}};
  const auto whole = TokenizeConversation(*tiny, model, turns, TokenizeMode::kWhole);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->ids, (Ids{'x', ' ', 263, '!'}));
  EXPECT_EQ(whole->loss_mask, (std::vector<uint8_t>{0, 0, 0, 1}));
  const auto pieces = TokenizeConversation(*tiny, model, turns, TokenizeMode::kPieces);
  ASSERT_TRUE(pieces.ok()) << pieces.status();
  EXPECT_EQ(pieces->ids, (Ids{'x', ' ', 'a', 'b', '!'}));
  EXPECT_EQ(pieces->loss_mask, (std::vector<uint8_t>{0, 0, 0, 1, 1}));
}

TEST(TokenizeConversationTest, PiecesPutBosAndEosAsIds) {
  const auto tiny = OpenTiny("");
  const auto sample = TokenizeConversation(*tiny, OpenTemplate("moss_sft@0.1.9", *tiny),
                                           {{.input = "hello", .output = "ab"}}, TokenizeMode::kPieces);
  ASSERT_TRUE(sample.ok()) << sample.status();
  EXPECT_EQ(sample->ids.front(), tiny->bos_id());
  EXPECT_EQ(sample->loss_mask.front(), 0);
  EXPECT_EQ(sample->ids.back(), tiny->eos_id());
  EXPECT_EQ(sample->loss_mask.back(), 1);
}

TEST(TokenizeConversationTest, PromptIsTheBeginningOfTheSample) {
  const auto tiny = OpenTiny(kChatmlJinja);
  const Conversation past = {TwoTurns()[0]};
  for (const std::string_view name : {"model", "chatml", "default", "default@0.1.9"}) {
    for (const TokenizeMode mode : {TokenizeMode::kWhole, TokenizeMode::kPieces}) {
      const ChatTemplate chat_template = OpenTemplate(name, *tiny);
      const auto sample = TokenizeConversation(*tiny, chat_template, TwoTurns(), mode);
      const auto prompt = TokenizePrompt(*tiny, chat_template, {past, TwoTurns()[1]}, mode);
      ASSERT_TRUE(sample.ok() && prompt.ok()) << name;
      ASSERT_LT(prompt->size(), sample->ids.size()) << name;
      EXPECT_TRUE(std::equal(prompt->begin(), prompt->end(), sample->ids.begin())) << name;
      EXPECT_EQ(sample->loss_mask[prompt->size() - 1], 0) << name;
      EXPECT_EQ(sample->loss_mask[prompt->size()], 1) << name;
    }
  }
}

// The ids that transformers' apply_chat_template gives for SmolLM2.
TEST(ModelTemplateGoldenTest, SmolLm2ChatsEqualTransformers) {
  const auto shared = ft::testing::SharedDir();
  if (!shared) GTEST_SKIP() << "the folder shared with golden/tokenizer is not beside this checkout";
  const std::filesystem::path folder = *shared / "golden" / "tokenizer" / "smollm2";
  const auto opened = tokenizer::OpenTokenizer(folder);
  ASSERT_TRUE(opened.ok()) << opened.status();
  const auto parsed = JinjaTemplate::Parse((*opened)->chat_template());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const nlohmann::json golden = nlohmann::json::parse(*ReadFile(folder / "chat.json"));
  ASSERT_FALSE(golden["cases"].empty());
  for (const nlohmann::json& each : golden["cases"]) {
    jinja::List messages;
    for (const nlohmann::json& message : each["messages"]) {
      jinja::Dict entry;
      entry.Set("role", jinja::Value::String(message["role"].get<std::string>()));
      entry.Set("content", jinja::Value::String(message["content"].get<std::string>()));
      messages.push_back(*jinja::Value::FromDict(std::move(entry)));
    }
    jinja::Dict variables;
    variables.Set("messages", *jinja::Value::FromList(std::move(messages)));
    variables.Set("add_generation_prompt", jinja::Value::Bool(each["add_generation_prompt"].get<bool>()));
    const auto output = parsed->Render(variables);
    ASSERT_TRUE(output.ok()) << output.status();
    EXPECT_EQ(output->text, each["text"].get<std::string>());
    EXPECT_EQ(*(*opened)->Encode(output->text), each["ids"].get<Ids>());
  }
}

}  // namespace
}  // namespace ft::data
