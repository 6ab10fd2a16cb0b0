// The data sets of XTuner 0.1.9 whose records columns alone do not describe, by the words of `map.kind:`. Each works on a local file
// of the same layout too.
//
// Question and answer in columns: kColumnKinds. Records that hold a whole conversation in one field: the whole-field kinds.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "worker/data/chat/conversation.h"
#include "worker/data/readers/record.h"

namespace ft::data {

// A question of two columns has a line break between them, also where the second is empty.
struct ColumnKind {
  std::string_view kind;
  std::string_view question, more_question, answer;
  std::string_view omitted_answer;        // A record with this answer is left out; empty = none is.
  bool question_follows_a_colon = false;  // What stands before the first `:` of it is no part of it.
};

inline constexpr ColumnKind kColumnKinds[] = {
    {"alpaca", "instruction", "input", "output", "<nooutput>"},
    {"alpaca_zh", "instruction_zh", "input_zh", "output_zh", ""},
    {"colors", "description", "", "color", "", true},
    {"medical", "instruction", "input", "output", ""},
    {"sql", "context", "question", "answer", ""},
};

// The rows of kColumnKinds and the whole-field kinds with this word; null where there is none.
const ColumnKind* FindColumnKind(std::string_view kind);

// What a field became. `wrong` says why it is no record of this data set, without its place; XTuner leaves such records out.
struct FieldConversation {
  Conversation turns;
  bool left_over = false;  // What stands at the end has no answer and was left out.
  std::optional<std::string> wrong;
};

struct WholeFieldKind {
  std::string_view kind;
  std::string_view field;
  bool questions = true;  // Every turn has one.
  // INVALID_ARGUMENT, without the record's place, for what XTuner refuses too.
  StatusOr<FieldConversation> (*map)(const Field& field) = nullptr;
};

const WholeFieldKind* FindWholeFieldKind(std::string_view kind);

// `### Human: ... ### Assistant: ...` in one text. Pieces are paired in their order whatever their role, a last question is left
// out, and so is a piece that begins with neither role.
StatusOr<FieldConversation> FromGuanacoText(const Field& field);

// [{from: human | gpt, value}, ...]: answers at the front are left out, questions in a row become one.
StatusOr<FieldConversation> FromWizard(const Field& field);

// MSAgent-Bench: a Python literal (or a list) of {from: system | user | assistant, value} with tools as JSON, written as
// Thought / Action / Action Input / Response / Final Answer.
StatusOr<FieldConversation> FromAgent(const Field& field);

}  // namespace ft::data
