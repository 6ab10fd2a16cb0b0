// Conversations as other tools write them (shared/cases 01 to 16, 29, 36): the right sample, or a refusal by
// line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"
#include "worker/data/prepare/cases_fixture.h"

namespace ft::prepare {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class CasesMessages : public CasesFixture<ft::testing::TempDir> {
 protected:
  // One conversation of two rounds, the first answer with `key`.
  std::string WithKey(const std::string& key) {
    return Samples("d.jsonl", StrCat(R"({"messages": [{"role": "user", "content": "Capital?"}, )",
                                     R"({"role": "assistant", "content": "Paris.")", key,
                                     R"(}, {"role": "user", "content": "River?"}, )",
                                     R"({"role": "assistant", "content": "The Seine."}]})", "\n"));
  }
};

TEST_F(CasesMessages, WeightZeroIsReadAndNotLearnt) {
  const std::string right = "user: Capital? | assistant: Paris. | user: River? | assistant: [The Seine.]";
  for (const char* key : {"weight", "train", "training", "loss", "loss_mask", "loss_weight"}) {
    for (const char* value : {"0", "0.0", "false", "\"false\""})
      EXPECT_EQ(WithKey(StrCat(", \"", key, "\": ", value)), right) << key << value;
  }
  const std::string all = "user: Capital? | assistant: [Paris.] | user: River? | assistant: [The Seine.]";
  for (const char* value : {"1", "true", "null", "1.0"})
    EXPECT_EQ(WithKey(StrCat(", \"weight\": ", value)), all);
  EXPECT_THAT(Report(), Not(HasSubstr("read and not learnt")));
  WithKey(", \"weight\": 0");
  EXPECT_THAT(Report(),
              HasSubstr("1 record has answers that are read and not learnt, as the record says (first: "
                        "d.jsonl line 1)"));
}

TEST_F(CasesMessages, WeightsThatAreNoYesOrNoAreRefused) {
  EXPECT_THAT(
      WithKey(", \"weight\": 0.5"),
      HasSubstr("d.jsonl line 1: message 2 has a \"weight\" that is neither 0 nor 1, true nor false"));
  EXPECT_THAT(WithKey(", \"weight\": 0, \"train\": true"),
              HasSubstr("message 2 has both \"weight\" and \"train\""));
  EXPECT_THAT(Samples("d.jsonl", R"({"messages": [{"role": "user", "content": "q", "train": true},
                                                  {"role": "assistant", "content": "a"}]})"),
              HasSubstr("message 1 is no answer and has a \"train\" that asks for it to be learnt"));
}

TEST_F(CasesMessages, UnknownKeysAreRefusedByNameAndEmptyOnesAreNot) {
  EXPECT_THAT(WithKey(", \"train_detail\": [1]"),
              HasSubstr("d.jsonl line 1: message 2 has the unknown key \"train_detail\"; it takes role"));
  EXPECT_THAT(WithKey(", \"reasoning_content\": \"so\""),
              HasSubstr("write the reasoning into the answer's text"));
  EXPECT_THAT(WithKey(", \"tool_calls\": null, \"name\": \"\", \"images\": []"), HasSubstr("[Paris.]"));
}

TEST_F(CasesMessages, MessagesOfOneSideStayApart) {
  EXPECT_EQ(Samples("d.json", R"([{"conversations": [{"from": "human", "value": "My printer is broken"},
      {"from": "human", "value": "It prints blank pages"}, {"from": "gpt", "value": "Check the toner."}]}])"),
            "user: My printer is broken | user: It prints blank pages | assistant: [Check the toner.]");
  EXPECT_EQ(Samples("d.json", R"([{"messages": [{"role": "system", "content": "A"},
      {"role": "system", "content": "B"}, {"role": "user", "content": "q"}, {"role": "system", "content": "C"},
      {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]}])"),
            "system: A | system: B | user: q | system: C | assistant: [a] | assistant: [b]");
  EXPECT_EQ(Samples("d.json", R"([{"conversations": [{"from": "human", "value": "q"},
      {"from": "function_call", "value": "call f"}, {"from": "observation", "value": "4"},
      {"from": "human", "value": "And?"}, {"from": "gpt", "value": "Four."}]}])"),
            "user: q | assistant: [call f] | user: 4 | user: And? | assistant: [Four.]");
}

TEST_F(CasesMessages, NamedTemplatesRefuseMessagesOfOneSideByLine) {
  source().template_name = "chatml";
  EXPECT_THAT(
      Samples("d.json", R"([{"messages": [{"role": "user", "content": "My printer is broken"},
      {"role": "user", "content": "It is"}, {"role": "assistant", "content": "Yes."}]}])"),
      AllOf(HasSubstr("d.json line 1: two messages of the same side follow each other (the first is \"My "
                      "printer is broken\")"),
            HasSubstr("use template: model")));
}

TEST_F(CasesMessages, ASystemTextBesideTheMessagesIsTaken) {
  const std::string right = "system: Be patient. | user: q | assistant: [a]";
  for (const char* name : {"system", "system_prompt"}) {
    EXPECT_EQ(Samples("d.json", StrCat(R"([{"conversations": [{"from": "human", "value": "q"},
        {"from": "gpt", "value": "a"}], ")",
                                       name, R"(": "Be patient."}])")),
              right);
    EXPECT_EQ(Samples("m.jsonl", StrCat(R"({"messages": [{"role": "user", "content": "q"},
        {"role": "assistant", "content": "a"}], ")",
                                        name, R"(": "Be patient."})")),
              right);
    EXPECT_EQ(Samples("c.jsonl", StrCat(R"({"conversation": [{"input": "q", "output": "a"}], ")", name,
                                        R"(": "Be patient."})")),
              right);
  }
  EXPECT_THAT(Report(), HasSubstr("system_prompt is the system text"));
}

TEST_F(CasesMessages, TwoSystemTextsAreRefused) {
  EXPECT_THAT(Samples("m.jsonl", R"({"messages": [{"role": "system", "content": "Be quick."},
      {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "system": "Be patient."})"),
              HasSubstr("m.jsonl line 1: the record has two system texts"));
  EXPECT_THAT(Samples("m.jsonl", R"({"messages": [{"role": "user", "content": "q"},
      {"role": "assistant", "content": "a"}], "system": "x", "system_prompt": "y"})"),
              HasSubstr("both system and system_prompt may be the system text"));
}

TEST_F(CasesMessages, ToolsAndSystemTextStandTogether) {
  EXPECT_THAT(
      Samples("d.json",
              R"([{"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}],
      "system": "Be patient.", "tools": "[{\"name\": \"f\"}]"}])"),
      HasSubstr("system: Be patient.\nYou may call these tools, described as JSON:\n[{\"name\": \"f\"}]"));
}

TEST_F(CasesMessages, ALeadingAnswerIsKept) {
  const std::string right = "assistant: [Welcome!] | user: When? | assistant: [At ten.]";
  EXPECT_EQ(Samples("d.json", R"([{"conversations": [{"from": "gpt", "value": "Welcome!"},
      {"from": "human", "value": "When?"}, {"from": "gpt", "value": "At ten."}]}])"),
            right);
  EXPECT_EQ(Samples("m.jsonl", R"({"messages": [{"role": "assistant", "content": "Welcome!"},
      {"role": "user", "content": "When?"}, {"role": "assistant", "content": "At ten."}]})"),
            right);
}

TEST_F(CasesMessages, QuestionsAtTheEndAreLeftOutAndSaid) {
  EXPECT_EQ(Samples("m.jsonl", R"({"messages": [{"role": "user", "content": "q"},
      {"role": "assistant", "content": "a"}, {"role": "user", "content": "Thanks"}]})"),
            "user: q | assistant: [a]");
  EXPECT_THAT(Report(),
              HasSubstr("1 record ends with messages that nothing answers, which were left out (first: "
                        "m.jsonl line 1)"));
}

TEST_F(CasesMessages, AlpacaHistoryStandsBeforeTheQuestion) {
  EXPECT_EQ(
      Samples("d.json", R"([{"instruction": "Another one?", "input": "", "output": "Pear.",
      "history": [["Name a fruit.", "Apple."]], "system": "S"}])"),
      "system: S | user: Name a fruit. | assistant: [Apple.] | user: Another one? | assistant: [Pear.]");
  EXPECT_THAT(Report(), AllOf(HasSubstr("history holds the rounds before"), Not(HasSubstr("not used"))));
  EXPECT_EQ(Samples("d.json", R"([{"query": "q", "response": "a", "history": [["p", "b"]]},
                                  {"query": "r", "response": "c", "history": null}])"),
            "user: p | assistant: [b] | user: q | assistant: [a]\nuser: r | assistant: [c]");
  EXPECT_THAT(Samples("d.json", R"([{"instruction": "q", "output": "a", "history": [["p"]]}])"),
              HasSubstr("d.json line 1: \"history\" must be a list of [question, answer] pairs"));
  EXPECT_THAT(Samples("d.json", R"([{"instruction": "q", "output": "a", "history": [["", "b"]]}])"),
              HasSubstr("d.json line 1: the question is empty"));
}

TEST_F(CasesMessages, ToolCallsAreRefusedByName) {
  EXPECT_THAT(Samples("d.jsonl", R"({"messages": [{"role": "user", "content": "q"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "c"}]}],
      "tools": [{"type": "function"}]})"),
              AllOf(HasSubstr("d.jsonl line 1: message 2 has \"tool_calls\", which is not read"),
                    HasSubstr("role function_call")));
  EXPECT_THAT(Samples("d.jsonl", R"({"messages": [{"role": "tool", "content": "q"}]})"),
              HasSubstr("message 1 has the role \"tool\", which is not read"));
  EXPECT_THAT(
      Samples("d.jsonl", R"({"messages": [{"role": "user", "content": "q"},
      {"role": "assistant", "content": "a"}], "tools": [{"type": "function"}]})"),
      HasSubstr("d.jsonl line 1: the record has \"tools\", which are not read beside messages with role"));
}

TEST_F(CasesMessages, ToolCallsGoThroughATemplateThatTakesTools) {
  WriteModel(
      "{% if tools %}{{ tools[0].function.name }}\n{% endif %}{% for m in messages %}<|im_start|>{{ m.role "
      "}}\n"
      "{{ m.content or '' }}{% for c in m.tool_calls or [] %}{{ c.function.name }}({{ c.function.arguments.x "
      "}})"
      "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
      "");
  const std::string report = Report("d.jsonl", R"({"messages": [{"role": "user", "content": "q"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{\"x\": 5}"}}]},
      {"role": "tool", "tool_call_id": "c", "content": "r"}, {"role": "assistant", "content": "a"}],
      "tools": [{"type": "function", "function": {"name": "lookup"}}]})");
  EXPECT_THAT(report, AllOf(HasSubstr("tools and calls are written by the model's chat template"),
                            HasSubstr("lookup\n"), HasSubstr("<|im_start|>assistant\n⟦f(5)<|im_end|>⟧"),
                            HasSubstr("<|im_start|>tool\nr<|im_end|>"),
                            HasSubstr("<|im_start|>assistant\n⟦a<|im_end|>⟧")));
}

TEST_F(CasesMessages, OnlyTheLastAnswerIsLearntWhereTheJobSaysSo) {
  source().loss_on = "last";
  EXPECT_EQ(WithKey(""), "user: Capital? | assistant: Paris. | user: River? | assistant: [The Seine.]");
  EXPECT_THAT(Report(), HasSubstr("of each conversation the last answer is learnt (loss_on: last)"));
}

TEST_F(CasesMessages, TheLastAnswerOfWhatIsNoConversationIsRefused) {
  source().loss_on = "last";
  const std::string refused =
      "holds no conversations, whose answers loss_on: chooses from; take loss_on: out";
  EXPECT_THAT(Report("t.txt", "A text.\n"), HasSubstr(refused));
  EXPECT_THAT(Report("t.jsonl", R"({"input_ids": [1, 2]})"), HasSubstr(refused));
}

TEST_F(CasesMessages, TheDateOfTheJobDecidesTheTokens) {
  WriteModel(
      "{{ strftime_now('%Y-%m-%d') }}\n{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content "
      "}}<|im_end|>\n"
      "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
      "");
  request_.date = 1721995200;
  EXPECT_THAT(Report("d.jsonl", R"({"question": "q", "answer": "a"})"),
              HasSubstr("2024-07-26\n<|im_start|>user"));
}

TEST_F(CasesMessages, ContentAsAListOfTextParts) {
  for (const char* key : {"text", "value"}) {
    EXPECT_EQ(
        Samples("d.jsonl",
                StrCat(R"({"messages": [{"role": "user", "content": [{"type": "text", ")", key,
                       R"(": "What is 2 + 3?"}]}, {"role": "assistant", "content": [{"type": "text", ")", key,
                       R"(": "5"}], "loss_weight": 1.0}]})")),
        "user: What is 2 + 3? | assistant: [5]");
  }
  EXPECT_THAT(
      Samples("d.jsonl",
              R"({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]})"),
      HasSubstr(
          "d.jsonl line 1: message 1 holds a part of type \"image_url\"; only parts of type text are read"));
  EXPECT_THAT(
      Samples(
          "d.jsonl",
          R"({"messages": [{"role": "user", "content": [{"type": "text", "text": "q", "lang": "en"}]}]})"),
      HasSubstr("message 1 holds a part with the unknown key \"lang\""));
  EXPECT_THAT(Samples("d.jsonl", R"({"messages": [{"role": "user", "content": 5}]})"),
              HasSubstr("message 1 has a \"content\" that is neither text nor a list of text parts"));
}

TEST_F(CasesMessages, KeysAndNamesOfListsMayBeMixed) {
  const std::string right = "user: Capital of Peru? | assistant: [Lima.]";
  const std::string roles =
      R"([{"role": "user", "content": "Capital of Peru?"}, {"role": "assistant", "content": "Lima."}])";
  const std::string from =
      R"([{"from": "human", "value": "Capital of Peru?"}, {"from": "gpt", "value": "Lima."}])";
  for (const char* name : {"conversations", "messages", "conversation", "dialogue"}) {
    EXPECT_EQ(Samples("d.jsonl", StrCat("{\"", name, "\": ", roles, "}")), right) << name;
    EXPECT_EQ(Samples("d.jsonl", StrCat("{\"", name, "\": ", from, "}")), right) << name;
  }
  for (const char* format : {"openai", "sharegpt"}) {
    source().format = format;
    EXPECT_EQ(Samples("d.jsonl", StrCat("{\"conversations\": ", roles, "}")), right) << format;
    EXPECT_EQ(Samples("d.jsonl", StrCat("{\"messages\": ", from, "}")), right) << format;
  }
  EXPECT_THAT(Samples("d.jsonl", StrCat("{\"talk\": ", from, "}")), HasSubstr("give it with column:"));
  source().column = "talk";
  EXPECT_EQ(Samples("d.jsonl", StrCat("{\"talk\": ", from, ", \"messages\": ", from, "}")), right);
  EXPECT_THAT(Samples("d.jsonl", StrCat("{\"messages\": ", from, "}")),
              HasSubstr("column: names \"talk\", which is not there"));
  // A list of another name beside a question and an answer does not replace them.
  source() = {.source = source().source};
  EXPECT_EQ(Samples("d.jsonl", StrCat("{\"question\": \"q\", \"answer\": \"a\", \"context\": ", from, "}")),
            "user: q | assistant: [a]");
}

TEST_F(CasesMessages, EmptyQuestionsAreRefusedByLine) {
  EXPECT_THAT(
      Samples("d.json",
              R"([{"conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": "At ten."}]},
                                   {"conversations": [{"from": "human", "value": " "}, {"from": "gpt", "value": "a"}]}])"),
      AllOf(HasSubstr("2 of 2 samples are refused"), HasSubstr("d.json line 1: the question is empty"),
            HasSubstr("d.json line 2: the question is empty")));
  EXPECT_THAT(
      Samples("d.json",
              R"([{"conversations": [{"from": "human", "value": "q"}, {"from": "function_call", "value": "f"},
      {"from": "observation", "value": ""}, {"from": "gpt", "value": "a"}]}])"),
      HasSubstr("d.json line 1: the result of a tool is empty"));
  EXPECT_THAT(
      Samples("d.json",
              R"([{"conversations": [{"from": "human", "value": null}, {"from": "gpt", "value": "a"}]}])"),
      HasSubstr("d.json line 1: message 1 has no \"value\""));
}

TEST_F(CasesMessages, XtunersAnswersWithoutAQuestionAreRendered) {
  EXPECT_EQ(Samples("d.json", R"([{"conversation": [{"input": null, "output": "Once upon a time."}]}])"),
            "assistant: [Once upon a time.]");
}

TEST_F(CasesMessages, AKeyTwiceInsideAMessageIsRefused) {
  EXPECT_THAT(
      Samples("d.jsonl", R"({"messages": [{"role": "assistant", "content": "Quito.", "content": "Lima."}]})"),
      HasSubstr("d.jsonl line 1, column 58: broken JSON: key \"content\" stands twice; keep one"));
}

// A template that keeps of an answer what stands behind </think>, as reasoning models have.
constexpr const char* kThinkTemplate =
    "{% for m in messages %}{% set c = m['content'] %}{% if m['role'] == 'assistant' and '</think>' in c %}"
    "{% set c = c.split('</think>')[-1] | trim %}{% endif %}<|im_start|>{{ m['role'] }}\n{{ c }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

TEST_F(CasesMessages, AnswersThatTheTemplateEditsAreRefused) {
  WriteModel(kThinkTemplate, "");
  EXPECT_THAT(
      Samples("d.jsonl", R"({"messages": [{"role": "user", "content": "2+3?"},
      {"role": "assistant", "content": "<think>\n2 plus 3 makes 5.\n</think>\n\n5"}]})"),
      AllOf(HasSubstr("d.jsonl line 1: the model's chat template drops 36 characters of the answer (from "
                      "\"<think> 2 plus 3 makes 5...\" on)"),
            HasSubstr("template: chatml")));
  EXPECT_EQ(
      Samples(
          "d.jsonl",
          R"({"messages": [{"role": "user", "content": "2+3?"}, {"role": "assistant", "content": "5"}]})"),
      "user: 2+3? | assistant: [5]");
  source().template_name = "chatml";
  EXPECT_THAT(Samples("d.jsonl", R"({"messages": [{"role": "user", "content": "2+3?"},
      {"role": "assistant", "content": "<think>\nsum\n</think>\n\n5"}]})"),
              HasSubstr("[<think>\nsum\n</think>\n\n5]"));
}

TEST_F(CasesMessages, WhatTheTemplateLeavesOutIsRefused) {
  // It has no place for a system text, and replaces a word of questions.
  WriteModel(
      "{% for m in messages %}{% if m['role'] != 'system' %}<|im_start|>{{ m['content'] | replace('bad', "
      "'good') }}"
      "<|im_end|>\n{% endif %}{% endfor %}",
      "");
  EXPECT_THAT(Samples("d.csv", "question,answer,system\nq,a,Be brief.\n"),
              HasSubstr("d.csv line 2: the model's chat template drops 9 characters of the system text"));
  EXPECT_THAT(Samples("d.csv", "question,answer\nIs it bad?,a\n"),
              HasSubstr("of the question (from \"bad?\" on)"));
  EXPECT_THAT(Samples("d.csv", "question,answer\nq,Not bad\n"),
              HasSubstr("drops 3 characters of the answer"));
}

}  // namespace
}  // namespace ft::prepare
