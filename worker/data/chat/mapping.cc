#include "worker/data/chat/mapping.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/check.h"
#include "core/base/shell_quote.h"
#include "core/recipe/record_shapes.h"
#include "worker/data/chat/chat_shapes.h"
#include "worker/data/chat/column_guess.h"
#include "worker/data/chat/data_set_maps.h"
#include "worker/data/chat/messages.h"
#include "worker/data/readers/columns.h"

namespace ft::data {
namespace {

constexpr std::string_view kAlpacaSystem =
    "Below is an instruction that describes a task. Write a response that appropriately completes the "
    "request.\n";

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

std::string AfterColon(std::string_view text) {
  const size_t colon = text.find(':');
  return colon == std::string_view::npos ? "" : Trimmed(text.substr(colon + 1));
}

// Earlier rounds as LLaMA-Factory and ms-swift write them: [[question, answer], ...].
StatusOr<Conversation> HistoryOf(const Record& record, const std::string& name) {
  Conversation turns;
  const Field* field = record.Find(name);
  if (field == nullptr || field->kind == FieldKind::kNull) return turns;
  const Status refused =
      Error(record.origin, StrCat("\"", name, "\" must be a list of [question, answer] pairs of texts"));
  if (field->kind != FieldKind::kNested) {
    if (IsBlank(field->text)) return turns;
    return refused;
  }
  if (!field->nested.is_array()) return refused;
  for (const nlohmann::ordered_json& pair : field->nested) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) return refused;
    Turn turn;
    turn.input = pair[0].get<std::string>();
    turn.output = pair[1].get<std::string>();
    turns.push_back(std::move(turn));
  }
  return turns;
}

}  // namespace

StatusOr<std::string> Mapping::System(const Record& record) const {
  if (!system_column_) return system_text_;
  if (!system_named_ && record.Find(*system_column_) == nullptr) return system_text_;
  ASSIGN_OR_RETURN(std::string text, TextOf(record, *system_column_));
  return IsBlank(text) ? system_text_ : text;
}

StatusOr<MappedRecord> Mapping::MapColumns(const Record& record) const {
  MappedRecord mapped;
  if (!history_.empty()) {
    ASSIGN_OR_RETURN(mapped.turns, HistoryOf(record, history_));
  }
  Turn turn;
  if (!input_.empty()) {
    ASSIGN_OR_RETURN(turn.input, TextOf(record, input_));
    if (question_follows_a_colon_) turn.input = AfterColon(turn.input);
    mapped.empty_input = IsBlank(turn.input);
  }
  if (!extra_input_.empty()) {
    std::string extra;
    if (record.Find(extra_input_) != nullptr) {
      ASSIGN_OR_RETURN(extra, TextOf(record, extra_input_));
    }
    mapped.empty_input = mapped.empty_input && IsBlank(extra);
    if (always_breaks_ || !extra.empty()) StrAppend(&turn.input, "\n", extra);
  }
  ASSIGN_OR_RETURN(turn.output, TextOf(record, output_));
  if (!omitted_answer_.empty() && turn.output == omitted_answer_) return MappedRecord();
  for (const Turn& earlier : mapped.turns) mapped.empty_input = mapped.empty_input || IsBlank(earlier.input);
  mapped.turns.push_back(std::move(turn));
  ASSIGN_OR_RETURN(mapped.turns[0].system, System(record));
  return mapped;
}

StatusOr<MappedRecord> Mapping::MapList(const Record& record) const {
  const Field* list = record.Find(output_);
  if (list == nullptr)
    return Error(record.origin, StrCat("\"", output_, "\" is missing; give every record this field"));
  Surroundings around{.tools = record.Find("tools"), .takes = takes_};
  ASSIGN_OR_RETURN(around.system, System(record));
  around.system_is_own = system_column_ && around.system != system_text_;
  Dialogue dialogue;
  if (shape_ == Shape::kRounds) {
    ASSIGN_OR_RETURN(dialogue, FromXtuner(*list, around, record.origin));
  } else {
    ASSIGN_OR_RETURN(dialogue, FromMessages(*list, around, record.origin));
  }
  MappedRecord mapped{.turns = std::move(dialogue.turns),
                      .empty_input = dialogue.empty_question,
                      .empty_tool_result = dialogue.empty_tool_result,
                      .left_over = dialogue.left_over};
  for (const Turn& turn : mapped.turns) mapped.only_read += turn.answered && !turn.loss;
  return mapped;
}

StatusOr<MappedRecord> Mapping::MapOneField(const Record& record) const {
  const Field* field = record.Find(output_);
  if (field == nullptr)
    return Error(record.origin, StrCat("\"", output_, "\" is missing; give every record this field"));
  StatusOr<FieldConversation> made = one_field_->map(*field);
  if (!made.ok()) return Error(record.origin, ft::Message(made.status()));
  MappedRecord mapped{.turns = std::move(made->turns), .left_over = made->left_over};
  if (made->wrong && !drops_unfit_) return Error(record.origin, *made->wrong);
  mapped.unfit = made->wrong.has_value();
  if (mapped.turns.empty()) return mapped;
  ASSIGN_OR_RETURN(const std::string system, System(record));
  if (mapped.turns[0].system.empty()) mapped.turns[0].system = system;
  for (const Turn& turn : mapped.turns)
    mapped.empty_input = mapped.empty_input || (one_field_->questions && IsBlank(turn.input));
  return mapped;
}

StatusOr<MappedRecord> Mapping::MapAny(const Record& record) const {
  switch (shape_) {
    case Shape::kColumns: return MapColumns(record);
    case Shape::kOneField: return MapOneField(record);
    default: return MapList(record);
  }
}

StatusOr<MappedRecord> Mapping::Map(const Record& record) const {
  FT_CHECK(shape_ != Shape::kText);
  ASSIGN_OR_RETURN(MappedRecord mapped, MapAny(record));
  for (const Turn& turn : mapped.turns) {
    mapped.empty_output = mapped.empty_output || (turn.loss && turn.calls.empty() && IsBlank(turn.output));
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
    chosen_.always_breaks_ = options_.xtuner_alpaca;
    chosen_.takes_ = options_.takes;
    chosen_.drops_unfit_ = options_.drops_unfit;
    const std::string& format = options_.format;
    const bool mapped = options_.map && (!options_.map->input.empty() || !options_.map->output.empty());
    if (mapped) {
      if (format != "auto" && format != "table") {
        return Refuse(StrCat("map: names columns, which goes with format: table, not with ", format));
      }
      return ByMap();
    }
    if (options_.map && !options_.map->system.empty()) UseSystem(options_.map->system);
    if (options_.map && options_.map->kind != "columns") return ByKind(options_.map->kind);
    if (format == "text") return ByText("as format: text says");
    if (const recipe::RecordShape* shape = recipe::FindRecordShape(format)) return ByShape(*shape);
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
    return absl::InvalidArgumentError(StrCat(options_.source, ": ", why, "; the fields are: ", listed,
                                             options_.table.empty() ? "" : " (", options_.table,
                                             options_.table.empty() ? "" : ")"));
  }

  // As Refuse, and shows what to write: the fields that look like it, said to be a guess.
  Status RefuseForMap(std::string_view why) const {
    if (const std::optional<std::string> wrapped = WrappedRecords()) return Refuse(*wrapped);
    std::string advice;
    if (const std::optional<ColumnGuess> guess = GuessColumns(first_, fields_)) {
      advice = StrCat("name them, perhaps (a guess by what the fields hold): ", MapToWrite(*guess));
    } else {
      advice =
          "name them: --map input=QUESTION,output=ANSWER (in a job file map: {input: QUESTION, output: "
          "ANSWER})";
    }
    const std::string text = LongestText(first_, fields_);
    if (!text.empty()) {
      StrAppend(&advice, "; to learn plain text instead write --set data.format=text --set ",
                ShellQuoted(StrCat("data.column=", InQuotes(text))),
                " (in a job file format: text and column: ", InQuotes(text), ")");
    }
    return Refuse(StrCat(why, "; ", advice));
  }

  static std::string InQuotes(std::string_view text) {
    std::string quoted = "\"";
    for (const char c : text) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    return quoted + "\"";
  }

  // For the command line and for a job file.
  static std::string MapToWrite(const ColumnGuess& guess) {
    const std::string map =
        StrCat("{input: ", InQuotes(guess.input), ", output: ", InQuotes(guess.output), "}");
    return StrCat(ForCommandLine(guess, map), " (in a job file map: ", map, ")");
  }

  // --map takes every name that holds no line break and nothing that looks like its next part.
  static std::string ForCommandLine(const ColumnGuess& guess, const std::string& map) {
    for (const std::string* name : {&guess.input, &guess.output}) {
      for (const char* part : {"\n", ",input=", ",output=", ",system="}) {
        if (name->find(part) != std::string::npos)
          return StrCat("--set ", ShellQuoted(StrCat("data.map=", map)));
      }
    }
    return StrCat("--map ", ShellQuoted(StrCat("input=", guess.input, ",output=", guess.output)));
  }

  // What to say when the one record is an object that holds the records.
  std::optional<std::string> WrappedRecords() const {
    if (first_.size() != 1) return std::nullopt;
    for (const Field& field : first_[0].fields) {
      if (field.kind != FieldKind::kNested || !field.nested.is_array() || field.nested.empty()) continue;
      if (!field.nested.front().is_object() || IsMessageList(field.nested)) continue;
      return StrCat("the file is one object, and the records seem to lie under \"", field.name,
                    "\" (a list of ", field.nested.size(), "); save that list alone, for example with jq '.",
                    InQuotes(field.name), "'");
    }
    return std::nullopt;
  }

  // A name that is a column, otherwise the text itself.
  void UseSystem(const std::string& system) {
    if (Has(system)) {
      chosen_.system_column_ = system;
      chosen_.system_named_ = true;
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
                        field == chosen_.extra_input_ || field == chosen_.history_ ||
                        chosen_.system_column_ == field;
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
    chosen_.shape_ = Shape::kColumns;
    chosen_.input_ = map.input;
    chosen_.output_ = map.output;
    const std::string question =
        map.input.empty() ? "there is no question" : StrCat(map.input, " is the question");
    return Explain(StrCat(question, ", ", map.output, " is the answer", UseHistory()), "as map: says");
  }

  // The records of a data set that map.kind names.
  StatusOr<Mapping> ByKind(const std::string& kind) {
    if (options_.format != "auto")
      return Refuse(
          StrCat("map: ", kind, " says what the records are; take format: ", options_.format, " out"));
    const std::string why = StrCat("as map: ", kind, " says");
    if (const WholeFieldKind* whole = FindWholeFieldKind(kind)) {
      RETURN_IF_ERROR(NeedFields(kind, {whole->field}));
      chosen_.shape_ = Shape::kOneField;
      chosen_.output_ = std::string(whole->field);
      chosen_.one_field_ = whole;
      return Explain(StrCat(whole->field, " holds the conversation; answers carry loss, questions do not"),
                     why);
    }
    const ColumnKind* columns = FindColumnKind(kind);
    FT_CHECK(columns != nullptr) << kind;  // The schema knows no other; moss_sft has a reader of its own.
    RETURN_IF_ERROR(NeedFields(kind, {columns->question, columns->more_question, columns->answer}));
    chosen_.shape_ = Shape::kColumns;
    chosen_.input_ = columns->question;
    chosen_.extra_input_ = columns->more_question;
    chosen_.output_ = columns->answer;
    chosen_.omitted_answer_ = columns->omitted_answer;
    chosen_.question_follows_a_colon_ = columns->question_follows_a_colon;
    chosen_.always_breaks_ = true;
    const std::string question =
        columns->more_question.empty()
            ? StrCat("what follows the colon of ", columns->question, " is the question")
            : StrCat(columns->question, " and ", columns->more_question, " are the question");
    return Explain(StrCat(question, ", ", columns->answer, " is the answer"), why);
  }

  Status NeedFields(std::string_view kind, std::initializer_list<std::string_view> fields) const {
    for (const std::string_view field : fields) {
      if (!field.empty() && !Has(field))
        return Refuse(StrCat("map: ", kind, " needs the field \"", field, "\", which is not there"));
    }
    return absl::OkStatus();
  }

  // Takes the earlier rounds where records have them, and says so.
  std::string UseHistory() {
    constexpr std::string_view kHistory = "history";
    const bool there = std::any_of(first_.begin(), first_.end(), [&](const Record& record) {
      const Field* field = record.Find(kHistory);
      return field != nullptr && field->kind == FieldKind::kNested;
    });
    if (!there || chosen_.input_ == kHistory || chosen_.output_ == kHistory) return "";
    chosen_.history_ = kHistory;
    return ", history holds the rounds before";
  }

  StatusOr<Mapping> ByText(std::string_view why) {
    if (!Has(options_.text_column)) {
      return Refuse(StrCat("column: names \"", options_.text_column, "\", which is not there"));
    }
    chosen_.shape_ = Shape::kText;
    chosen_.output_ = options_.text_column;
    return Explain(StrCat(options_.text_column, " is text to learn whole, without a template"), why);
  }

  StatusOr<Mapping> ByColumns(const recipe::RecordShape& shape, std::string_view why) {
    for (const std::string_view name : {shape.question, shape.answer}) {
      if (!Has(name)) {
        return Refuse(
            StrCat("format: ", shape.format, " needs the field \"", name, "\", which is not there"));
      }
    }
    chosen_.shape_ = Shape::kColumns;
    chosen_.input_ = shape.question;
    chosen_.extra_input_ = shape.more_question;
    chosen_.output_ = shape.answer;
    chosen_.omitted_answer_ = shape.omitted_answer;
    RETURN_IF_ERROR(UseGuessedSystem());
    if (options_.xtuner_alpaca && shape.format == "alpaca" && !chosen_.system_column_ &&
        chosen_.system_text_.empty()) {
      chosen_.system_text_ = std::string(kAlpacaSystem);
    }
    const std::string question =
        Has(shape.more_question) ? StrCat(shape.question, " and ", shape.more_question, " are the question")
                                 : StrCat(shape.question, " is the question");
    return Explain(StrCat(question, ", ", shape.answer, " is the answer", UseHistory()), why);
  }

  Status CheckListName() const {
    if (!NamesList() || Has(options_.text_column)) return absl::OkStatus();
    return Refuse(StrCat("column: names \"", options_.text_column, "\", which is not there"));
  }

  // Lists of messages by the names that tools give them, or by the one that `column:` gives.
  std::vector<std::string> NamedLists(const recipe::RecordShape& shape) const {
    std::vector<std::string> names;
    if (NamesList()) names.push_back(options_.text_column);
    for (const std::string_view name : shape.lists) {
      if (!name.empty()) names.emplace_back(name);
    }
    return names;
  }

  static Shape ListShape(const recipe::RecordShape& shape) {
    return shape.kind == recipe::RecordKind::kRounds ? Shape::kRounds : Shape::kMessages;
  }

  StatusOr<Mapping> ByShape(const recipe::RecordShape& shape) {
    const std::string why = StrCat("as format: ", shape.format, " says");
    if (shape.kind == recipe::RecordKind::kColumns) return ByColumns(shape, why);
    RETURN_IF_ERROR(CheckListName());
    const std::vector<std::string> names = NamedLists(shape);
    for (const std::string& name : names) {
      if (Has(name)) return ByList(ListShape(shape), name, why);
    }
    return Refuse(
        StrCat("format: ", options_.format, " needs the field \"", names.front(),
               "\", which is not there; if the list of messages has another name, give it with column:"));
  }

  StatusOr<Mapping> ByList(Shape shape, const std::string& name, std::string_view why) {
    chosen_.shape_ = shape;
    chosen_.output_ = name;
    const bool by_template = options_.takes.tools && Has("tools");
    const bool tools = shape == Shape::kMessages && Has("tools") && (by_template || SpeaksByFrom(name));
    if (tools) chosen_.extra_input_ = "tools";
    RETURN_IF_ERROR(UseGuessedSystem());
    const std::string_view where =
        !tools        ? ""
        : by_template ? ", tools and calls are written by the model's chat template"
                      : ", tools go into the system text, and function calls count as answers";
    return Explain(StrCat(name, " holds the messages; answers carry loss, questions do not", where), why);
  }

  // Whether `check` holds for this field of every record that is not an empty list.
  template <typename Check>
  bool AllLists(std::string_view name, const Check& check) const {
    bool any = false;
    for (const Record& record : first_) {
      const Field* field = record.Find(name);
      if (field == nullptr || field->kind != FieldKind::kNested || !field->nested.is_array()) return false;
      if (field->nested.empty()) continue;
      any = true;
      if (!check(field->nested)) return false;
    }
    return any;
  }
  bool SpeaksByFrom(std::string_view name) const { return AllLists(name, NamesSpeakersByFrom); }
  bool HoldsMessages(std::string_view name) const { return AllLists(name, IsMessageList); }
  bool IsList(std::string_view name) const {
    return !first_.empty() && std::all_of(first_.begin(), first_.end(), [&](const Record& record) {
      const Field* field = record.Find(name);
      return field != nullptr && field->kind == FieldKind::kNested && field->nested.is_array();
    });
  }

  // The shape whose lists usually have this name; null where none has.
  static const recipe::RecordShape* UsualList(std::string_view name) {
    for (const recipe::RecordShape& shape : recipe::kRecordShapes) {
      if (!name.empty() && std::find(shape.lists.begin(), shape.lists.end(), name) != shape.lists.end())
        return &shape;
    }
    return nullptr;
  }

  // Whether `column:` names a list of messages rather than nothing or a text.
  bool NamesList() const { return options_.text_column != recipe::DataSource().column; }

  // The fields that are lists of messages: by what they hold, or by their usual name.
  std::vector<std::pair<std::string, Shape>> Lists() const {
    std::vector<std::pair<std::string, Shape>> lists;
    for (const std::string& name : fields_) {
      const recipe::RecordShape* usual = UsualList(name);
      if (HoldsMessages(name)) {
        lists.emplace_back(name, Shape::kMessages);
      } else if (usual != nullptr && IsList(name)) {
        lists.emplace_back(name, ListShape(*usual));
      }
    }
    return lists;
  }

  StatusOr<Mapping> ByChat() {
    RETURN_IF_ERROR(CheckListName());
    const auto lists = Lists();
    for (const auto& [name, shape] : lists) {
      if (name == options_.text_column) return ByList(shape, name, "as column: says");
    }
    if (lists.size() == 1) {
      return ByList(
          lists[0].second, lists[0].first,
          UsualList(lists[0].first) != nullptr ? "guessed by its name" : "guessed by what it holds");
    }
    if (lists.empty())
      return Refuse(
          "no field is a list of messages such as conversations or messages; give its name with column:");
    return Refuse(StrCat("several fields hold messages: ", lists[0].first, " and ", lists[1].first,
                         "; name one with format: chat and column:"));
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

  Status UseGuessedSystem() {
    if (options_.map) return absl::OkStatus();
    constexpr std::array<std::string_view, 6> kSystems = {"system", "system_prompt", "system_message",
                                                          "系统",   "系统提示",      "系统提示词"};
    const std::vector<std::string> systems = Among(kSystems);
    if (systems.size() > 1) {
      return Refuse(StrCat("both ", systems[0], " and ", systems[1],
                           " may be the system text; name one with map: {system: ", InQuotes(systems[0]),
                           "}"));
    }
    if (!systems.empty()) chosen_.system_column_ = systems[0];
    return absl::OkStatus();
  }

  // What accompanies a text that was gathered, and is never learnt.
  bool OnlyTextAndItsLabels() const {
    constexpr std::array<std::string_view, 20> kLabels = {
        "text",    "url",   "timestamp", "date",           "time",     "id",         "title",
        "source",  "meta",  "metadata",  "lang",           "language", "author",     "domain",
        "created", "added", "file",      "language_score", "dump",     "token_count"};
    return Among(kLabels).size() == fields_.size() && Has("text");
  }

  std::vector<std::string> Questions() const {
    constexpr std::array<std::string_view, 17> kQuestions = {
        "question", "questions", "q",    "instruction", "prompt", "input", "query", "user", "human",
        "问题",     "问",        "提问", "问句",        "指令",   "输入",  "用户",  "题目"};
    return Among(kQuestions);
  }
  std::vector<std::string> Answers() const {
    constexpr std::array<std::string_view, 17> kAnswers = {
        "answer", "answers", "a",    "output", "completion", "response", "reply", "assistant", "bot",
        "回答",   "答",      "答案", "答复",   "输出",       "回复",     "助手",  "解答"};
    return Among(kAnswers);
  }

  StatusOr<Mapping> ByHeader() {
    const std::vector<std::string> questions = Questions(), answers = Answers();
    if (questions.empty() || answers.empty()) {
      return RefuseForMap("no fields look like question and answer");
    }
    if (questions.size() > 1 || answers.size() > 1) {
      return RefuseForMap(questions.size() > 1
                              ? StrCat("both ", questions[0], " and ", questions[1], " may be the question")
                              : StrCat("both ", answers[0], " and ", answers[1], " may be the answer"));
    }
    chosen_.shape_ = Shape::kColumns;
    chosen_.input_ = questions[0];
    chosen_.output_ = answers[0];
    RETURN_IF_ERROR(UseGuessedSystem());
    return Explain(StrCat(questions[0], " is the question, ", answers[0], " is the answer", UseHistory()),
                   "guessed by their names");
  }

  StatusOr<Mapping> ByGuess() {
    const auto lists = Lists();
    const bool usual = std::any_of(lists.begin(), lists.end(), [&](const auto& list) {
      return UsualList(list.first) != nullptr || list.first == options_.text_column;
    });
    if (usual) return ByChat();
    for (const recipe::RecordShape& shape : recipe::kRecordShapes) {
      const bool columns = shape.kind == recipe::RecordKind::kColumns;
      if (columns && Has(shape.question) && Has(shape.answer))
        return ByColumns(shape, "guessed by their names");
    }
    if (fields_.size() == 1 && (fields_[0] == options_.text_column || fields_[0] == "text")) {
      return ByText("it is the only field");
    }
    if (options_.text_column == "text" && OnlyTextAndItsLabels()) return ByText("guessed by its name");
    const bool table = !Questions().empty() && !Answers().empty();
    return lists.empty() || table ? ByHeader() : ByChat();
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
