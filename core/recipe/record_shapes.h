// The shapes of records that have a word of their own (`format:` of a job file), one row each. Tables whose columns go by other
// names, lists under other names and plain text need no row. docs/formats/records.md tells users of them.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace ft::recipe {

enum class RecordKind : uint8_t {
  kColumns,   // Question and answer are fields of the record.
  kRounds,    // A list of {system, input, output}.
  kMessages,  // A list of {role, content} or {from, value}.
};

struct RecordShape {
  std::string_view format;  // The word.
  RecordKind kind = RecordKind::kColumns;
  // kColumns: the fields. `more_question` may be absent or empty, and goes below the question.
  std::string_view question, more_question, answer;
  std::string_view omitted_answer;  // A record with this answer is left out; empty = none is.
  // Lists: the names under which the list is looked for, in this order; the first is named in refusals.
  std::array<std::string_view, 2> lists = {};
};

// In the order in which a look at the records tries them.
inline constexpr RecordShape kRecordShapes[] = {
    {.format = "conversation", .kind = RecordKind::kRounds, .lists = {"conversation"}},
    {.format = "sharegpt", .kind = RecordKind::kMessages, .lists = {"conversations", "messages"}},
    {.format = "openai", .kind = RecordKind::kMessages, .lists = {"messages", "conversations"}},
    {.format = "alpaca",
     .question = "instruction",
     .more_question = "input",
     .answer = "output",
     .omitted_answer = "<nooutput>"},
};

// The row of a word of `format:`; null for words that are no row (auto, text, chat, table, tokens).
constexpr const RecordShape* FindRecordShape(std::string_view format) {
  for (const RecordShape& shape : kRecordShapes) {
    if (shape.format == format) return &shape;
  }
  return nullptr;
}

}  // namespace ft::recipe
