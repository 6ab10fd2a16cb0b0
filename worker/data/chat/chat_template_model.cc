// The functions of chat_template.h that run the Jinja template which came with the tokenizer.
#include <algorithm>
#include <utility>

#include "core/base/counted.h"
#include "core/base/excerpt.h"
#include "worker/data/chat/chat_template.h"
#include "worker/data/jinja/jinja_text.h"

namespace ft::data {
namespace {

using jinja::Value;
using Spans = std::vector<ByteSpan>;

// `text` without white space at both ends: templates may trim.
std::string_view Core(std::string_view text) { return jinja::StripRight(jinja::StripLeft(text)); }

std::string_view Part(std::string_view text, const ByteSpan& span) {
  return text.substr(span.begin, span.end - span.begin);
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
  return absl::InvalidArgumentError(
      StrCat("the model's chat template drops ",
             Counted(jinja::CountCharacters(core) - jinja::CountCharacters(kept), "character"), " of the ",
             what, " (from \"", Excerpt(lost),
             "\" on); choose a named template such as template: chatml, or take them out of the data"));
}

// A tool's result stands as it is or as a JSON string.
Status CheckResultWritten(const Turn& turn, std::string_view text) {
  const std::string_view core = Core(turn.input);
  const std::string quoted = nlohmann::json(std::string(core)).dump();
  const std::string_view inside = std::string_view(quoted).substr(1, quoted.size() - 2);
  if (text.find(inside) != std::string_view::npos) return absl::OkStatus();
  return CheckWritten("result of a tool", turn.input, text);
}

Status CheckQuestionsWritten(const Conversation& conversation, std::string_view text) {
  for (const Turn& turn : conversation) {
    RETURN_IF_ERROR(CheckWritten("system text", turn.system, text));
    RETURN_IF_ERROR(turn.from_tool ? CheckResultWritten(turn, text)
                                   : CheckWritten("question", turn.input, text));
  }
  return absl::OkStatus();
}

// `written`: what stands for the answer. Reasoning before the last answer is left out by most templates, on purpose.
Status CheckAnswerWritten(const Turn& turn, bool is_last, std::string_view written) {
  RETURN_IF_ERROR(CheckWritten("answer", turn.output, written));
  for (const ToolCall& call : turn.calls) RETURN_IF_ERROR(CheckWritten("call of a tool", call.name, written));
  return is_last ? CheckWritten("reasoning", turn.reasoning, written) : absl::OkStatus();
}

// How much of `text`, which begins with an answer and goes on with what the template puts behind it, is to be
// learnt: up to the end mark, without white space behind it. REQUIRES: CheckWritten passed.
size_t LearntLength(std::string_view text, std::string_view answer) {
  const std::string_view core = Core(answer);
  const size_t behind = text.find(core) + core.size();
  const std::string_view mark = jinja::StripRight(text.substr(behind));
  return behind + mark.size();
}

size_t CommonPrefix(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

}  // namespace

TemplateTakes ChatTemplate::Takes(std::string_view name, const tokenizer::Tokenizer& tokenizer) {
  if (name != "model" || tokenizer.chat_template().empty()) return {};
  const StatusOr<JinjaTemplate> parsed = JinjaTemplate::Parse(tokenizer.chat_template());
  if (!parsed.ok()) return {};  // Open says so.
  return {.tools = parsed->Mentions("tools") && parsed->Mentions("tool_calls"),
          .reasoning = parsed->Mentions("reasoning_content") || parsed->Mentions("thinking")};
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
  const std::string_view learnt =
      Part(rendered->text, {rendered->supervised.front().begin, rendered->supervised.back().end});
  const size_t at = learnt.rfind("answer");
  if (at == std::string_view::npos) return absl::OkStatus();
  const std::string_view mark = Core(learnt.substr(at + 6));
  if (!mark.empty()) stop_words_.emplace_back(mark);
  return absl::OkStatus();
}

StatusOr<JinjaTemplate::Output> ChatTemplate::RunJinja(const ModelMessages& given, size_t count,
                                                       bool add_generation_prompt) const {
  jinja::Dict variables;
  const auto end = given.messages.begin() + static_cast<ptrdiff_t>(count);
  ASSIGN_OR_RETURN(Value list, Value::FromList(jinja::List(given.messages.begin(), end)));
  variables.Set("messages", std::move(list));
  variables.Set("add_generation_prompt", Value::Bool(add_generation_prompt));
  variables.Set("tools", given.tools);
  variables.Set("documents", Value::None());
  const std::pair<std::string_view, const std::string*> tokens[] = {{"bos_token", &bos_text_},
                                                                    {"eos_token", &eos_text_},
                                                                    {"pad_token", &pad_text_},
                                                                    {"unk_token", &unk_text_}};
  for (const auto& [name, text] : tokens) {
    if (!text->empty()) variables.Set(name, Value::String(*text));
  }
  StatusOr<JinjaTemplate::Output> output = jinja_->Render(variables, {.now = now_});
  for (const auto& [name, text] : tokens) {
    // A missing BOS is printed as nothing, as transformers does; without the others a model would not learn its end.
    const bool printed =
        output.ok() && name != "bos_token" &&
        std::find(output->undefined.begin(), output->undefined.end(), name) != output->undefined.end();
    const bool failed =
        !output.ok() &&
        Message(output.status()).find(StrCat("\"", name, "\", which is undefined")) != std::string_view::npos;
    if (!printed && !failed) continue;
    return absl::InvalidArgumentError(
        StrCat("the model's chat template asks for ", name, ", which the tokenizer does not name; set ", name,
               " in tokenizer_config.json, or choose a named template such as template: chatml"));
  }
  if (!output.ok()) return WithContext(output.status(), "the model's chat template");
  return output;
}

StatusOr<Rendered> ChatTemplate::RenderJinja(const Conversation& conversation) const {
  ASSIGN_OR_RETURN(const ModelMessages given, MessagesOf(conversation));
  ASSIGN_OR_RETURN(JinjaTemplate::Output whole,
                   RunJinja(given, given.messages.size(), /*add_generation_prompt=*/false));
  RETURN_IF_ERROR(CheckQuestionsWritten(conversation, whole.text));
  ASSIGN_OR_RETURN(const std::vector<Spans> learnt,
                   jinja_->marks_generation() ? MarkedSpans(given, whole) : FoundSpans(given, whole.text));
  Rendered rendered;
  for (size_t i = 0; i < learnt.size(); ++i) {
    if (!given.answers[i].turn->loss) continue;
    for (const ByteSpan& span : learnt[i]) {
      const size_t done = rendered.supervised.empty() ? 0 : rendered.supervised.back().end;
      const ByteSpan next = {std::max(span.begin, done), span.end};
      if (next.end <= next.begin) continue;
      if (!rendered.supervised.empty() && next.begin == done) {
        rendered.supervised.back().end = next.end;
      } else {
        rendered.supervised.push_back(next);
      }
    }
  }
  rendered.text = std::move(whole.text);
  return rendered;
}

// A template may mark an answer in several blocks, its end apart for example. Where the numbers differ, a block belongs to
// the last answer whose message begins before it.
StatusOr<std::vector<Spans>> ChatTemplate::MarkedSpans(const ModelMessages& given,
                                                       const JinjaTemplate::Output& whole) const {
  const std::vector<PlacedAnswer>& answers = given.answers;
  std::vector<Spans> learnt(answers.size());
  std::vector<size_t> begins(answers.size(), 0);
  const bool one_each = whole.generated.size() == answers.size();
  for (size_t i = 1; i < answers.size() && !one_each; ++i) {
    const auto before = RunJinja(given, answers[i].message, /*add_generation_prompt=*/false);
    if (!before.ok()) return before.status();
    begins[i] = CommonPrefix(before->text, whole.text);
  }
  for (size_t block = 0; block < whole.generated.size() && !answers.empty(); ++block) {
    const auto next = std::upper_bound(begins.begin(), begins.end(), whole.generated[block].begin);
    const size_t owner = one_each ? block : static_cast<size_t>(next - begins.begin()) - 1;
    learnt[owner].push_back({whole.generated[block].begin, whole.generated[block].end});
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    if (learnt[i].empty()) {
      return absl::InvalidArgumentError(StrCat("the model's chat template marks ", whole.generated.size(),
                                               " answers of ", answers.size(), "; choose a named template"));
    }
    const ByteSpan all = {learnt[i].front().begin, learnt[i].back().end};
    RETURN_IF_ERROR(CheckAnswerWritten(*answers[i].turn, i + 1 == answers.size(), Part(whole.text, all)));
  }
  return learnt;
}

StatusOr<std::vector<Spans>> ChatTemplate::FoundSpans(const ModelMessages& given,
                                                      std::string_view total) const {
  std::vector<Spans> learnt;
  for (const PlacedAnswer& answer : given.answers) {
    ASSIGN_OR_RETURN(ByteSpan span, LocateAnswer(given, answer, total));
    const std::string_view written = Part(total, span);
    RETURN_IF_ERROR(CheckAnswerWritten(*answer.turn, &answer == &given.answers.back(), written));
    span.end = span.begin + LearntLength(written, answer.turn->output);
    learnt.push_back({span});
  }
  return learnt;
}

StatusOr<ByteSpan> ChatTemplate::LocateAnswer(const ModelMessages& given, const PlacedAnswer& answer,
                                              std::string_view total) const {
  const size_t message = answer.message;
  ASSIGN_OR_RETURN(const JinjaTemplate::Output with,
                   RunJinja(given, message + 1, /*add_generation_prompt=*/false));
  const Status lost = absl::InvalidArgumentError(
      StrCat("the model's chat template changes earlier text when message ", message + 1,
             " is added, so that the answer cannot be located; choose a named template"));
  if (!total.starts_with(with.text)) return lost;
  const StatusOr<JinjaTemplate::Output> before = RunJinja(given, message, /*add_generation_prompt=*/true);
  if (before.ok() && std::string_view(with.text).starts_with(before->text))
    return ByteSpan{before->text.size(), with.text.size()};
  if (!answer.after_question) return LocateOpening(given, message, with.text, lost);
  return before.ok() ? lost : before.status();
}

StatusOr<ByteSpan> ChatTemplate::LocateOpening(const ModelMessages& given, size_t message,
                                               std::string_view with, const Status& lost) const {
  // Two answers that share no character: up to where they differ, the template wrote what stands before.
  std::vector<std::string> others;
  for (const char* probe : {"x", "y"}) {
    ModelMessages other{.messages = jinja::List(given.messages.begin(),
                                                given.messages.begin() + static_cast<ptrdiff_t>(message)),
                        .tools = given.tools};
    ASSIGN_OR_RETURN(Value assistant, PlainMessage("assistant", probe));
    other.messages.push_back(std::move(assistant));
    ASSIGN_OR_RETURN(JinjaTemplate::Output output,
                     RunJinja(other, other.messages.size(), /*add_generation_prompt=*/false));
    others.push_back(std::move(output.text));
  }
  const size_t begin = CommonPrefix(others[0], others[1]);
  if (!with.starts_with(std::string_view(others[0]).substr(0, begin))) return lost;
  return ByteSpan{begin, with.size()};
}

}  // namespace ft::data
