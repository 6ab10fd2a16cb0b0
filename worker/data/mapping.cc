#include "worker/data/mapping.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/check.h"
#include "worker/data/chat_shapes.h"
#include "worker/data/columns.h"

namespace ft::data {
namespace {

constexpr std::string_view kAlpacaSystem =
    "Below is an instruction that describes a task. Write a response that appropriately completes the "
    "request.\n";
constexpr std::string_view kNoOutput = "<nooutput>";

Status Error(const Origin& origin, std::string_view why) {
  return absl::InvalidArgumentError(StrCat(Describe(origin), ": ", why));
}

// A field as text. Null gives an empty text.
StatusOr<std::string> TextOf(const Record& record, const std::string& name) {
  const Field* field = record.Find(name);
  if (field == nullptr)
    return Error(record.origin, StrCat("\"", name, "\" is missing; give every record this field"));
  if (field->kind == FieldKind::kError)
    return Error(record.origin, StrCat("\"", name, "\" holds ", field->text));
  if (field->kind == FieldKind::kNested) {
    return Error(record.origin, StrCat("\"", name, "\" holds a list or an object where text belongs"));
  }
  return field->text;
}

bool IsBlank(std::string_view text) { return Trimmed(text).empty(); }

}  // namespace

StatusOr<std::string> Mapping::System(const Record& record) const {
  if (!system_column_) return system_text_;
  ASSIGN_OR_RETURN(std::string text, TextOf(record, *system_column_));
  return IsBlank(text) ? system_text_ : text;
}

StatusOr<MappedRecord> Mapping::MapColumns(const Record& record) const {
  MappedRecord mapped;
  Turn turn;
  ASSIGN_OR_RETURN(turn.system, System(record));
  if (!input_.empty()) {
    ASSIGN_OR_RETURN(turn.input, TextOf(record, input_));
    mapped.empty_input = IsBlank(turn.input);
  }
  if (shape_ == Shape::kAlpaca) {
    std::string extra;
    if (record.Find(extra_input_) != nullptr) {
      ASSIGN_OR_RETURN(extra, TextOf(record, extra_input_));
    }
    mapped.empty_input = mapped.empty_input && IsBlank(extra);
    if (xtuner_alpaca_ || !extra.empty()) StrAppend(&turn.input, "\n", extra);
  }
  ASSIGN_OR_RETURN(turn.output, TextOf(record, output_));
  if (shape_ == Shape::kAlpaca && turn.output == kNoOutput) return mapped;
  mapped.turns.push_back(std::move(turn));
  return mapped;
}

StatusOr<MappedRecord> Mapping::Map(const Record& record) const {
  MappedRecord mapped;
  if (shape_ == Shape::kAlpaca || shape_ == Shape::kTable) {
    ASSIGN_OR_RETURN(mapped, MapColumns(record));
  } else {
    FT_CHECK(shape_ != Shape::kText);
    const Field* list = record.Find(output_);
    if (list == nullptr)
      return Error(record.origin, StrCat("\"", output_, "\" is missing; give every record this field"));
    if (shape_ == Shape::kConversation) {
      ASSIGN_OR_RETURN(mapped.turns, FromXtuner(*list, record.origin));
    } else if (shape_ == Shape::kShareGpt) {
      ASSIGN_OR_RETURN(mapped.turns, FromShareGpt(*list, record.Find("tools"), record.origin));
    } else {
      ASSIGN_OR_RETURN(mapped.turns, FromOpenAi(*list, record.origin));
    }
    if (!mapped.turns.empty() && mapped.turns[0].system.empty()) {
      ASSIGN_OR_RETURN(mapped.turns[0].system, System(record));
    }
  }
  for (const Turn& turn : mapped.turns) {
    mapped.empty_output = mapped.empty_output || (turn.loss && IsBlank(turn.output));
  }
  return mapped;
}

StatusOr<std::string> Mapping::Text(const Record& record) const {
  FT_CHECK(shape_ == Shape::kText);
  return TextOf(record, output_);
}

// The decisions of Mapping::Choose, one function each.
class MappingChooser {
 public:
  MappingChooser(const MappingOptions& options, std::span<const Record> first,
                 const std::vector<std::string>& columns)
      : options_(options), first_(first) {
    fields_ = columns;
    for (const Record& record : first) {
      for (const Field& field : record.fields) {
        if (!Has(field.name)) fields_.push_back(field.name);
      }
    }
  }

  StatusOr<Mapping> Choose() {
    chosen_.xtuner_alpaca_ = options_.xtuner_alpaca;
    const std::string& format = options_.format;
    const bool mapped = options_.map && (!options_.map->input.empty() || !options_.map->output.empty());
    if (mapped) {
      if (format != "auto" && format != "table") {
        return Refuse(StrCat("map: names columns, which goes with format: table, not with ", format));
      }
      return ByMap();
    }
    if (options_.map && !options_.map->system.empty()) UseSystem(options_.map->system);
    if (format == "text") return ByText();
    if (format == "alpaca") return ByAlpaca("as format: alpaca says");
    if (format == "conversation") return ByList(Shape::kConversation, "as format: conversation says");
    if (format == "sharegpt") return ByList(Shape::kShareGpt, "as format: sharegpt says");
    if (format == "openai") return ByList(Shape::kOpenAi, "as format: openai says");
    if (format == "table") return ByHeader();
    if (format == "chat") return ByChat();
    return ByGuess();
  }

 private:
  bool Has(std::string_view name) const {
    return std::find(fields_.begin(), fields_.end(), name) != fields_.end();
  }

  Status Refuse(std::string_view why) const {
    std::string listed;
    for (const std::string& field : fields_) StrAppend(&listed, listed.empty() ? "" : ", ", field);
    return absl::InvalidArgumentError(StrCat(options_.source, ": ", why, "; the fields are: ", listed));
  }
  // As Refuse, and shows what to write.
  Status RefuseForMap(std::string_view why) const {
    const std::string& input = fields_.empty() ? std::string("QUESTION") : fields_.front();
    const std::string& output = fields_.size() < 2 ? std::string("ANSWER") : fields_[1];
    return Refuse(StrCat(why, "; name them in the job file, for example map: {input: \"", input,
                         "\", output: \"", output, "\"}, or write format: text for plain text"));
  }

  // A name that is a column, otherwise the text itself.
  void UseSystem(const std::string& system) {
    if (Has(system)) {
      chosen_.system_column_ = system;
    } else {
      chosen_.system_text_ = system;
    }
  }

  std::string SystemSentence() const {
    if (chosen_.system_column_) return StrCat(", ", *chosen_.system_column_, " is the system text");
    return chosen_.system_text_.empty() ? "" : ", with the same system text everywhere";
  }

  std::string UnusedSentence() const {
    std::string listed;
    for (const std::string& field : fields_) {
      const bool used = field == chosen_.input_ || field == chosen_.output_ ||
                        field == chosen_.extra_input_ || chosen_.system_column_ == field;
      if (!used) StrAppend(&listed, listed.empty() ? "; not used: " : ", ", field);
    }
    return listed;
  }

  StatusOr<Mapping> Explain(std::string_view what, std::string_view why) {
    chosen_.explanation_ =
        StrCat(options_.source, ": ", what, SystemSentence(), " (", why, ")", UnusedSentence());
    return std::move(chosen_);
  }

  StatusOr<Mapping> ByMap() {
    const recipe::ColumnMap& map = *options_.map;
    if (map.output.empty()) return Refuse("map: names no output; name the field that holds the answers");
    for (const std::string& name : {map.input, map.output}) {
      if (!name.empty() && !Has(name)) return Refuse(StrCat("map: names \"", name, "\", which is not there"));
    }
    if (!map.system.empty()) UseSystem(map.system);
    chosen_.shape_ = Shape::kTable;
    chosen_.input_ = map.input;
    chosen_.output_ = map.output;
    const std::string question =
        map.input.empty() ? "there is no question" : StrCat(map.input, " is the question");
    return Explain(StrCat(question, ", ", map.output, " is the answer"), "as map: says");
  }

  StatusOr<Mapping> ByText() {
    if (!Has(options_.text_column)) {
      return Refuse(StrCat("column: names \"", options_.text_column, "\", which is not there"));
    }
    chosen_.shape_ = Shape::kText;
    chosen_.output_ = options_.text_column;
    return Explain(StrCat(options_.text_column, " is text to learn whole, without a template"),
                   options_.format == "text" ? "as format: text says" : "it is the only field");
  }

  StatusOr<Mapping> ByAlpaca(std::string_view why) {
    for (const char* name : {"instruction", "output"}) {
      if (!Has(name))
        return Refuse(StrCat("format: alpaca needs the field \"", name, "\", which is not there"));
    }
    chosen_.shape_ = Shape::kAlpaca;
    chosen_.input_ = "instruction";
    chosen_.extra_input_ = "input";
    chosen_.output_ = "output";
    if (!options_.map) UseGuessedSystem();
    if (options_.xtuner_alpaca && !chosen_.system_column_ && chosen_.system_text_.empty()) {
      chosen_.system_text_ = std::string(kAlpacaSystem);
    }
    return Explain(Has("input") ? "instruction and input are the question, output is the answer"
                                : "instruction is the question, output is the answer",
                   why);
  }

  StatusOr<Mapping> ByList(Shape shape, std::string_view why) {
    const char* name = shape == Shape::kConversation ? "conversation"
                       : shape == Shape::kShareGpt   ? "conversations"
                                                     : "messages";
    if (!Has(name))
      return Refuse(
          StrCat("format: ", options_.format, " needs the field \"", name, "\", which is not there"));
    chosen_.shape_ = shape;
    chosen_.output_ = name;
    const bool tools = shape == Shape::kShareGpt && Has("tools");
    if (tools) chosen_.extra_input_ = "tools";
    return Explain(
        StrCat(name, " holds the messages; answers carry loss, questions do not",
               tools ? ", tools go into the system text, and function calls count as answers" : ""),
        why);
  }

  bool IsList(std::string_view name) const {
    return !first_.empty() && std::all_of(first_.begin(), first_.end(), [&](const Record& record) {
      const Field* field = record.Find(name);
      return field != nullptr && field->kind == FieldKind::kNested && field->nested.is_array();
    });
  }

  StatusOr<Mapping> ByChat() {
    std::vector<Shape> possible;
    if (IsList("conversation")) possible.push_back(Shape::kConversation);
    if (IsList("conversations")) possible.push_back(Shape::kShareGpt);
    if (IsList("messages")) possible.push_back(Shape::kOpenAi);
    if (possible.size() == 1) return ByList(possible[0], "guessed by its name");
    return Refuse(possible.empty()
                      ? "no field is a list called conversation, conversations or messages"
                      : "several fields hold messages; write format: conversation, sharegpt or openai");
  }

  // The fields whose name is one of `names`.
  template <size_t N>
  std::vector<std::string> Among(const std::array<std::string_view, N>& names) const {
    std::vector<std::string> found;
    for (const std::string& field : fields_) {
      std::string lower = Trimmed(field);
      for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      if (std::find(names.begin(), names.end(), lower) != names.end()) found.push_back(field);
    }
    return found;
  }

  void UseGuessedSystem() {
    constexpr std::array<std::string_view, 4> kSystems = {"system", "system_prompt", "系统", "系统提示"};
    const std::vector<std::string> systems = Among(kSystems);
    if (systems.size() == 1) chosen_.system_column_ = systems[0];
  }

  StatusOr<Mapping> ByHeader() {
    constexpr std::array<std::string_view, 17> kQuestions = {
        "question", "questions", "q",    "instruction", "prompt", "input", "query", "user", "human",
        "问题",     "问",        "提问", "问句",        "指令",   "输入",  "用户",  "题目"};
    constexpr std::array<std::string_view, 17> kAnswers = {
        "answer", "answers", "a",    "output", "completion", "response", "reply", "assistant", "bot",
        "回答",   "答",      "答案", "答复",   "输出",       "回复",     "助手",  "解答"};
    const std::vector<std::string> questions = Among(kQuestions), answers = Among(kAnswers);
    if (questions.empty() || answers.empty()) {
      return RefuseForMap("no fields look like question and answer");
    }
    if (questions.size() > 1 || answers.size() > 1) {
      return RefuseForMap(questions.size() > 1
                              ? StrCat("both ", questions[0], " and ", questions[1], " may be the question")
                              : StrCat("both ", answers[0], " and ", answers[1], " may be the answer"));
    }
    chosen_.shape_ = Shape::kTable;
    chosen_.input_ = questions[0];
    chosen_.output_ = answers[0];
    if (!options_.map) UseGuessedSystem();
    return Explain(StrCat(questions[0], " is the question, ", answers[0], " is the answer"),
                   "guessed by their names");
  }

  StatusOr<Mapping> ByGuess() {
    if (IsList("conversation") || IsList("conversations") || IsList("messages")) return ByChat();
    if (Has("instruction") && Has("output")) return ByAlpaca("guessed by their names");
    if (fields_.size() == 1 && (fields_[0] == options_.text_column || fields_[0] == "text")) {
      return ByText();
    }
    return ByHeader();
  }

  const MappingOptions& options_;
  std::span<const Record> first_;
  std::vector<std::string> fields_;
  Mapping chosen_;
};

StatusOr<Mapping> Mapping::Choose(const MappingOptions& options, std::span<const Record> first,
                                  const std::vector<std::string>& columns) {
  FT_CHECK(!first.empty());
  return MappingChooser(options, first, columns).Choose();
}

}  // namespace ft::data
