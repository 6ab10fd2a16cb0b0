#include "worker/data/chat/chat_template.h"

#include <algorithm>
#include <utility>

#include "core/base/counted.h"
#include "core/base/excerpt.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::data {
namespace {

using jinja::Value;
using Kind = ChatTemplate::Piece::Kind;

constexpr std::string_view kModelTemplate = "model";
constexpr std::string_view kInputPlace = "{input}";

std::string TokenText(const tokenizer::Tokenizer& tokenizer, int32_t id) {
  return id < 0 ? std::string() : tokenizer.Decode(std::span<const int32_t>(&id, 1));
}

// `text` with the first `place` replaced.
std::string Fill(std::string_view text, std::string_view place, std::string_view value) {
  const size_t at = text.find(place);
  if (at == std::string_view::npos) return std::string(text);
  return StrCat(text.substr(0, at), value, text.substr(at + place.size()));
}

// The instruction with round and input; the input comes last so that a placeholder in it stays what it is.
std::string FillInstruction(std::string_view instruction, std::string_view input, size_t round) {
  const size_t at = instruction.find(kInputPlace);
  const std::string number = StrCat(round);
  if (at == std::string_view::npos) return Fill(instruction, "{round}", number);
  return StrCat(Fill(instruction.substr(0, at), "{round}", number), input,
                Fill(instruction.substr(at + kInputPlace.size()), "{round}", number));
}

Status CheckUtf8(const Turn& turn) {
  const std::pair<std::string_view, const std::string*> parts[] = {
      {"system text", &turn.system}, {"question", &turn.input}, {"answer", &turn.output}};
  for (const auto& [what, text] : parts) {
    if (const auto broken = tokenizer::FirstInvalidUtf8(*text)) {
      return absl::InvalidArgumentError(StrCat("the ", what, " is not UTF-8 at byte ", *broken));
    }
  }
  return absl::OkStatus();
}

StatusOr<Value> MakeMessage(std::string_view role, const std::string& content) {
  jinja::Dict message;
  message.Set("role", Value::String(std::string(role)));
  message.Set("content", Value::String(content));
  return Value::FromDict(std::move(message));
}

Status AddQuestion(const Turn& turn, jinja::List* messages) {
  if (!turn.system.empty()) {
    ASSIGN_OR_RETURN(Value system, MakeMessage("system", turn.system));
    messages->push_back(std::move(system));
  }
  if (!turn.input.empty()) {
    ASSIGN_OR_RETURN(Value user, MakeMessage("user", turn.input));
    messages->push_back(std::move(user));
  }
  return absl::OkStatus();
}

// An answer among the messages.
struct PlacedAnswer {
  size_t message = 0;
  bool after_question = false;  // Some question stands before it.
  const Turn* turn = nullptr;
};

Status AddTurns(const Conversation& turns, jinja::List* messages, std::vector<PlacedAnswer>* answers) {
  bool asked = false;
  for (const Turn& turn : turns) {
    RETURN_IF_ERROR(CheckUtf8(turn));
    RETURN_IF_ERROR(AddQuestion(turn, messages));
    asked = asked || !turn.input.empty();
    if (!turn.answered) continue;
    answers->push_back({messages->size(), asked, &turn});
    ASSIGN_OR_RETURN(Value assistant, MakeMessage("assistant", turn.output));
    messages->push_back(std::move(assistant));
  }
  return absl::OkStatus();
}

// `text` without white space at both ends: templates may trim.
std::string_view Core(std::string_view text) { return jinja::StripRight(jinja::StripLeft(text)); }

int64_t CountCharacters(std::string_view text) {
  return std::count_if(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
}

// How many bytes of `core` at its front (or, with `at_end`, at its end) stand somewhere in `text`.
size_t LongestPart(std::string_view core, std::string_view text, bool at_end) {
  size_t low = 0, high = core.size();  // A part of `low` bytes is there, one of more than `high` is not.
  while (low < high) {
    const size_t middle = low + (high - low + 1) / 2;
    const std::string_view part = at_end ? core.substr(core.size() - middle) : core.substr(0, middle);
    const bool there = text.find(part) != std::string_view::npos;
    (there ? low : high) = there ? middle : middle - 1;
  }
  return low;
}

// Templates may split, replace or leave out parts of what they are given; whoever wrote the data would not
// learn of it. `what` is written in `text`, or this says how much of it is not.
Status CheckWritten(std::string_view what, std::string_view given, std::string_view text) {
  const std::string_view core = Core(given);
  if (text.find(core) != std::string_view::npos) return absl::OkStatus();
  const size_t front = LongestPart(core, text, /*at_end=*/false);
  const size_t end = LongestPart(core, text, /*at_end=*/true);
  const std::string_view kept = end >= front ? core.substr(core.size() - end) : core.substr(0, front);
  const std::string_view lost = end >= front ? core.substr(0, core.size() - end) : core.substr(front);
  return absl::InvalidArgumentError(StrCat(
      "the model's chat template drops ", Counted(CountCharacters(core) - CountCharacters(kept), "character"),
      " of the ", what, " (from \"", Excerpt(lost),
      "\" on); choose a named template such as template: chatml, or take them out of the data"));
}

// How much of `text`, which begins with an answer and goes on with what the template puts behind it, is to be
// learnt: up to the end mark, without white space behind it. REQUIRES: CheckWritten passed.
size_t LearntLength(std::string_view text, std::string_view answer) {
  const std::string_view core = Core(answer);
  const size_t behind = text.find(core) + core.size();
  const std::string_view mark = jinja::StripRight(text.substr(behind));
  return behind + mark.size();
}

}  // namespace

StatusOr<TokenizeMode> ParseTokenizeMode(std::string_view name) {
  if (name == "whole") return TokenizeMode::kWhole;
  if (name == "pieces") return TokenizeMode::kPieces;
  return absl::InvalidArgumentError(StrCat("tokenize is \"", name, "\"; it must be whole or pieces"));
}

std::vector<std::string> ChatTemplate::Names() {
  std::vector<std::string> names = {std::string(kModelTemplate)};
  for (const NamedTemplate& known : AllNamedTemplates()) names.emplace_back(known.name);
  return names;
}

ChatTemplate::ChatTemplate(std::string_view name, const tokenizer::Tokenizer& tokenizer)
    : name_(name),
      bos_text_(tokenizer.Decode(tokenizer.bos_ids())),
      eos_text_(TokenText(tokenizer, tokenizer.eos_id())),
      pad_text_(TokenText(tokenizer, tokenizer.pad_id())),
      eos_id_(tokenizer.eos_id()) {}

StatusOr<ChatTemplate> ChatTemplate::Open(std::string_view name, const tokenizer::Tokenizer& tokenizer) {
  ChatTemplate made(name, tokenizer);
  if (name == kModelTemplate) {
    RETURN_IF_ERROR(made.UseModelTemplate(tokenizer));
    return made;
  }
  for (const NamedTemplate& known : AllNamedTemplates()) {
    if (known.name == name) made.named_ = known;
  }
  if (!made.named_) {
    std::string names;
    for (const std::string& known : Names()) StrAppend(&names, names.empty() ? "" : ", ", known);
    return absl::NotFoundError(StrCat("there is no chat template \"", name, "\"; known are ", names));
  }
  if (!made.named_->suffix_as_eos && tokenizer.eos_id() < 0) {
    return absl::InvalidArgumentError(
        StrCat("the chat template ", name,
               " ends answers with EOS, but the tokenizer names none; set eos_token in "
               "tokenizer_config.json or choose another template"));
  }
  made.stop_words_.assign(made.named_->stop_words.begin(), made.named_->stop_words.end());
  return made;
}

Status ChatTemplate::UseModelTemplate(const tokenizer::Tokenizer& tokenizer) {
  if (tokenizer.chat_template().empty()) {
    return absl::InvalidArgumentError(
        "the model has no chat template of its own (template: model); name one, for example template: "
        "chatml");
  }
  StatusOr<JinjaTemplate> parsed = JinjaTemplate::Parse(tokenizer.chat_template());
  if (!parsed.ok()) return WithContext(parsed.status(), "the model's chat template");
  jinja_ = *std::move(parsed);
  // What stands behind a probe's answer is the mark at which answers end.
  const Conversation probe = {{.system = "", .input = "question", .output = "answer"}};
  const StatusOr<Rendered> rendered = RenderJinja(probe);
  if (!rendered.ok() || rendered->supervised.empty()) return absl::OkStatus();
  const ByteSpan span = rendered->supervised[0];
  const std::string_view learnt = std::string_view(rendered->text).substr(span.begin, span.end - span.begin);
  const size_t at = learnt.rfind("answer");
  if (at == std::string_view::npos) return absl::OkStatus();
  const std::string_view mark = jinja::StripRight(jinja::StripLeft(learnt.substr(at + 6)));
  if (!mark.empty()) stop_words_.emplace_back(mark);
  return absl::OkStatus();
}

std::vector<int32_t> ChatTemplate::StopIds(const tokenizer::Tokenizer& tokenizer) const {
  std::vector<int32_t> ids;
  if (eos_id_ >= 0) ids.push_back(eos_id_);
  for (const std::string& word : stop_words_) {
    const std::optional<int32_t> id = tokenizer.TokenId(word);
    if (id && tokenizer.is_special(*id) && std::find(ids.begin(), ids.end(), *id) == ids.end())
      ids.push_back(*id);
  }
  return ids;
}

StatusOr<std::string> ChatTemplate::FillPrompt(const Turn& turn, size_t round) const {
  std::string_view instruction = named_->instruction;
  if (named_->repeats_bos && turn.input.empty()) {
    // v0.1.9 then keeps only what follows the input.
    const size_t at = instruction.find(kInputPlace);
    instruction.remove_prefix(at == std::string_view::npos ? 0 : at + kInputPlace.size());
  }
  const std::string question = FillInstruction(instruction, turn.input, round);
  if (turn.system.empty()) return question;
  if (named_->system.empty()) {
    return absl::InvalidArgumentError(StrCat("the chat template ", name_, " has no place for a system text"));
  }
  return Fill(named_->system, "{system}", turn.system) + question;
}

StatusOr<std::vector<ChatTemplate::Piece>> ChatTemplate::NamedPieces(const Conversation& turns,
                                                                     const Turn* next) const {
  std::vector<Piece> pieces;
  bool after_eos = true;
  const auto begin_turn = [&](const Turn& turn, size_t round) -> Status {
    RETURN_IF_ERROR(CheckUtf8(turn));
    if (named_->has_bos && !bos_text_.empty() && (after_eos || named_->repeats_bos))
      pieces.push_back({.kind = Kind::kBos});
    ASSIGN_OR_RETURN(std::string prompt, FillPrompt(turn, round));
    pieces.push_back({.text = std::move(prompt)});
    return absl::OkStatus();
  };
  for (size_t i = 0; i < turns.size(); ++i) {
    const Turn& turn = turns[i];
    if (!turn.answered) {
      return absl::InvalidArgumentError(
          StrCat("two messages of the same side follow each other (the first is \"",
                 Excerpt(turn.input.empty() ? turn.system : turn.input), "\"), and the chat template ", name_,
                 " writes a question only with its answer; join them in the data, or use template: model"));
    }
    RETURN_IF_ERROR(begin_turn(turn, i + 1));
    pieces.push_back({.text = StrCat(turn.output, named_->suffix), .loss = turn.loss});
    after_eos = !named_->suffix_as_eos;
    if (after_eos) pieces.push_back({.kind = Kind::kEos, .loss = turn.loss});
    if (!named_->separator.empty()) pieces.push_back({.text = std::string(named_->separator)});
  }
  if (next != nullptr) RETURN_IF_ERROR(begin_turn(*next, turns.size() + 1));
  return pieces;
}

std::string ChatTemplate::Join(const std::vector<Piece>& pieces, std::vector<ByteSpan>* supervised) const {
  std::string text;
  for (const Piece& piece : pieces) {
    const size_t begin = text.size();
    text += piece.kind == Kind::kBos ? bos_text_ : piece.kind == Kind::kEos ? eos_text_ : piece.text;
    if (!piece.loss || text.size() == begin) continue;
    if (!supervised->empty() && supervised->back().end == begin) {
      supervised->back().end = text.size();
    } else {
      supervised->push_back({begin, text.size()});
    }
  }
  return text;
}

StatusOr<Rendered> ChatTemplate::Render(const Conversation& conversation) const {
  if (jinja_) return RenderJinja(conversation);
  ASSIGN_OR_RETURN(const std::vector<Piece> pieces, NamedPieces(conversation, nullptr));
  Rendered rendered;
  rendered.text = Join(pieces, &rendered.supervised);
  return rendered;
}

StatusOr<std::string> ChatTemplate::RenderPrompt(const Conversation& past, const Turn& next) const {
  std::vector<ByteSpan> ignored;
  ASSIGN_OR_RETURN(const std::vector<Piece> pieces, PromptPieces(past, next));
  return Join(pieces, &ignored);
}

StatusOr<std::vector<ChatTemplate::Piece>> ChatTemplate::PromptPieces(const Conversation& past,
                                                                      const Turn& next) const {
  if (named_) return NamedPieces(past, &next);
  jinja::List messages;
  std::vector<PlacedAnswer> answers;
  RETURN_IF_ERROR(AddTurns(past, &messages, &answers));
  RETURN_IF_ERROR(CheckUtf8(next));
  RETURN_IF_ERROR(AddQuestion(next, &messages));
  ASSIGN_OR_RETURN(JinjaTemplate::Output output,
                   RunJinja(messages, messages.size(), /*add_generation_prompt=*/true));
  std::vector<Piece> pieces;
  pieces.push_back({.text = std::move(output.text)});
  return pieces;
}

StatusOr<std::vector<ChatTemplate::Piece>> ChatTemplate::Pieces(const Conversation& conversation) const {
  if (named_) return NamedPieces(conversation, nullptr);
  ASSIGN_OR_RETURN(const Rendered rendered, RenderJinja(conversation));
  std::vector<Piece> pieces;
  size_t done = 0;
  const auto add = [&](size_t end, bool loss) {
    if (end > done) pieces.push_back({.text = rendered.text.substr(done, end - done), .loss = loss});
    done = end;
  };
  for (const ByteSpan& span : rendered.supervised) {
    add(span.begin, false);
    add(span.end, true);
  }
  add(rendered.text.size(), false);
  return pieces;
}

StatusOr<JinjaTemplate::Output> ChatTemplate::RunJinja(const jinja::List& messages, size_t count,
                                                       bool add_generation_prompt) const {
  jinja::Dict variables;
  ASSIGN_OR_RETURN(Value list, Value::FromList(jinja::List(
                                   messages.begin(), messages.begin() + static_cast<ptrdiff_t>(count))));
  variables.Set("messages", std::move(list));
  variables.Set("add_generation_prompt", Value::Bool(add_generation_prompt));
  variables.Set("tools", Value::None());
  variables.Set("documents", Value::None());
  if (!bos_text_.empty()) variables.Set("bos_token", Value::String(bos_text_));
  if (!eos_text_.empty()) variables.Set("eos_token", Value::String(eos_text_));
  if (!pad_text_.empty()) variables.Set("pad_token", Value::String(pad_text_));
  StatusOr<JinjaTemplate::Output> output = jinja_->Render(variables);
  if (!output.ok()) return WithContext(output.status(), "the model's chat template");
  return output;
}

StatusOr<Rendered> ChatTemplate::RenderJinja(const Conversation& conversation) const {
  jinja::List messages;
  std::vector<PlacedAnswer> answers;
  RETURN_IF_ERROR(AddTurns(conversation, &messages, &answers));
  ASSIGN_OR_RETURN(JinjaTemplate::Output whole,
                   RunJinja(messages, messages.size(), /*add_generation_prompt=*/false));
  const bool marked = jinja_->marks_generation();
  if (marked && whole.generated.size() != answers.size()) {
    return absl::InvalidArgumentError(StrCat("the model's chat template marks ", whole.generated.size(),
                                             " answers of ", answers.size(), "; choose a named template"));
  }
  for (const Turn& turn : conversation) {
    RETURN_IF_ERROR(CheckWritten("system text", turn.system, whole.text));
    RETURN_IF_ERROR(CheckWritten("question", turn.input, whole.text));
  }
  Rendered rendered;
  for (size_t i = 0; i < answers.size(); ++i) {
    ByteSpan span;
    if (marked) {
      span = {whole.generated[i].begin, whole.generated[i].end};
      RETURN_IF_ERROR(CheckWritten("answer", answers[i].turn->output,
                                   std::string_view(whole.text).substr(span.begin, span.end - span.begin)));
    } else {
      ASSIGN_OR_RETURN(span,
                       LocateAnswer(messages, answers[i].message, answers[i].after_question, whole.text));
      const std::string_view written = std::string_view(whole.text).substr(span.begin, span.end - span.begin);
      RETURN_IF_ERROR(CheckWritten("answer", answers[i].turn->output, written));
      span.end = span.begin + LearntLength(written, answers[i].turn->output);
    }
    if (answers[i].turn->loss && span.end > span.begin) rendered.supervised.push_back(span);
  }
  rendered.text = std::move(whole.text);
  return rendered;
}

StatusOr<ByteSpan> ChatTemplate::LocateAnswer(const jinja::List& messages, size_t message,
                                              bool after_question, std::string_view total) const {
  ASSIGN_OR_RETURN(const JinjaTemplate::Output with,
                   RunJinja(messages, message + 1, /*add_generation_prompt=*/false));
  const Status lost = absl::InvalidArgumentError(
      StrCat("the model's chat template changes earlier text when message ", message + 1,
             " is added, so that the answer cannot be located; choose a named template"));
  if (!total.starts_with(with.text)) return lost;
  const StatusOr<JinjaTemplate::Output> before = RunJinja(messages, message, /*add_generation_prompt=*/true);
  if (before.ok() && std::string_view(with.text).starts_with(before->text))
    return ByteSpan{before->text.size(), with.text.size()};
  if (!after_question) return LocateOpening(messages, message, with.text, lost);
  return before.ok() ? lost : before.status();
}

StatusOr<ByteSpan> ChatTemplate::LocateOpening(const jinja::List& messages, size_t message,
                                               std::string_view with, const Status& lost) const {
  // Two answers that share no character: up to where they differ, the template wrote what stands before.
  std::vector<std::string> others;
  for (const char* probe : {"x", "y"}) {
    jinja::List other(messages.begin(), messages.begin() + static_cast<ptrdiff_t>(message));
    ASSIGN_OR_RETURN(Value assistant, MakeMessage("assistant", probe));
    other.push_back(std::move(assistant));
    ASSIGN_OR_RETURN(JinjaTemplate::Output output,
                     RunJinja(other, other.size(), /*add_generation_prompt=*/false));
    others.push_back(std::move(output.text));
  }
  const auto differ = std::mismatch(others[0].begin(), others[0].end(), others[1].begin(), others[1].end());
  const auto begin = static_cast<size_t>(differ.first - others[0].begin());
  if (!with.starts_with(std::string_view(others[0]).substr(0, begin))) return lost;
  return ByteSpan{begin, with.size()};
}

}  // namespace ft::data
