// From a record to a conversation: which shape the data has, which fields play which part, and the sentence
// that tells a person so. docs/formats/records.md lists the shapes.
//
//   ASSIGN_OR_RETURN(Mapping mapping, Mapping::Choose(options, first_records, reader->columns()));
//   ASSIGN_OR_RETURN(MappedRecord mapped, mapping.Map(record));
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/recipe/job_spec.h"
#include "worker/data/chat/conversation.h"
#include "worker/data/readers/record.h"

namespace ft::data {

struct WholeFieldKind;

enum class Shape {
  kColumns,   // One field is the question, one the answer.
  kRounds,    // A list of {system, input, output}, XTuner's own.
  kMessages,  // A list of {role, content} or {from, value}.
  kText,      // One field is text to learn as it is.
  kOneField,  // One field holds a whole conversation, as map.kind says (data_set_maps.h).
};

struct MappingOptions {
  std::string source;           // As the job file names it; for messages.
  std::string format = "auto";  // recipe::DataSource::format, except tokens.
  std::optional<recipe::ColumnMap> map;
  std::string text_column = "text";  // Column of text, or of a list of messages that has another name.
  std::string table;    // RecordReader::table(): which sheet and row named the columns; for messages.
  TemplateTakes takes;  // What the template that will write the conversations has a place for.
  bool xtuner_alpaca =
      false;  // XTuner 0.1.9's alpaca: its system text, and a line break after every instruction.
  bool drops_unfit =
      false;  // Records that are none of the data set that map.kind names: left out, not refused.
};

struct MappedRecord {
  Conversation turns;              // Empty = a record that its format says to leave out.
  bool empty_input = false;        // A question is there by the shape and holds white space only.
  bool empty_tool_result = false;  // The same of what a tool gave.
  bool empty_output = false;       // An answer that carries loss holds white space only.
  bool left_over = false;          // Messages at the end have no answer and were left out.
  bool unfit = false;              // Left out as XTuner leaves out what is no record of the data set.
  int64_t only_read = 0;           // Answers that carry no loss because the record says so.
};

// Immutable once chosen; thread-safe.
class Mapping {
 public:
  // Decides by the job file, else by the first records. INVALID_ARGUMENT where that is ambiguous or the
  // fields named are not there: it lists the fields and shows the `map:` to write. REQUIRES: first is not
  // empty.
  static StatusOr<Mapping> Choose(const MappingOptions& options, std::span<const Record> first,
                                  const std::vector<std::string>& columns);

  // INVALID_ARGUMENT names the record's place and what is wrong with it. REQUIRES: shape() is not kText.
  StatusOr<MappedRecord> Map(const Record& record) const;
  // The text of a record. REQUIRES: shape() is kText.
  StatusOr<std::string> Text(const Record& record) const;

  Shape shape() const { return shape_; }
  // "qa.xlsx: column Question is the question, Answer is the answer (guessed by their names); not used: URL".
  const std::string& explanation() const { return explanation_; }

 private:
  friend class MappingChooser;
  StatusOr<MappedRecord> MapColumns(const Record& record) const;
  StatusOr<MappedRecord> MapList(const Record& record) const;
  StatusOr<MappedRecord> MapOneField(const Record& record) const;
  StatusOr<MappedRecord> MapAny(const Record& record) const;
  StatusOr<std::string> System(const Record& record) const;

  Shape shape_ = Shape::kColumns;
  std::string input_, output_;  // Field names; an empty input = there is none. kText: output_ is the text.
  std::string extra_input_;     // The question's second part, where there is one; of messages the tools.
  std::string omitted_answer_;  // A record with this answer is left out; empty = none is.
  std::string history_;         // [[question, answer], ...] before the question; empty = there is none.
  std::optional<std::string> system_column_;
  bool system_named_ = false;   // By the job file: then every record must have it.
  std::string system_text_;     // Used where the record has no system text of its own.
  bool always_breaks_ = false;  // Between the two parts of a question, also where the second is empty.
  bool question_follows_a_colon_ = false;
  bool drops_unfit_ = false;
  const WholeFieldKind* one_field_ = nullptr;  // kOneField: which; not null.
  TemplateTakes takes_;
  std::string explanation_;
};

}  // namespace ft::data
