#include "worker/data/jinja/jinja_eval.h"

#include <algorithm>

#include "worker/data/jinja/jinja_lexer.h"
#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_print.h"

namespace ft::data::jinja {
namespace {

using ValueKind = Value::Kind;

constexpr std::string_view kLoop = "loop";
constexpr size_t kMaxUndefined = 100;  // Names that are kept.

}  // namespace

Status Evaluator::AtLine(int line, const Status& status) {
  if (status.ok() || Message(status).starts_with("line ")) return status;
  return WithContext(status, StrCat("line ", line));
}

StatusOr<JinjaTemplate::Output> Evaluator::Run(const Body& body) {
  RETURN_IF_ERROR(RunBody(body).status());
  // One that a {% set %} captured and nothing wrote out, or not there.
  for (const OutputRange& range : output_.generated) {
    if (range.end > output_.text.size())
      return absl::InvalidArgumentError("a {% generation %} block printed what does not stand in the text");
  }
  return std::move(output_);
}

StatusOr<Evaluator::Flow> Evaluator::RunBody(const Body& body) {
  Flow flow = Flow::kNormal;
  for (const Statement& statement : body) {
    RETURN_IF_ERROR(AtLine(statement.line, budget_.Enter()));
    RETURN_IF_ERROR(AtLine(statement.line, budget_.Charge(1)));
    ASSIGN_OR_RETURN(flow, RunStatement(statement));
    budget_.Leave();
    if (flow != Flow::kNormal) break;
  }
  return flow;
}

StatusOr<Evaluator::Flow> Evaluator::RunStatement(const Statement& statement) {
  switch (statement.kind) {
    case Statement::Kind::kText: RETURN_IF_ERROR(Print(statement.text, statement.line)); break;
    case Statement::Kind::kOutput: RETURN_IF_ERROR(RunOutput(statement)); break;
    case Statement::Kind::kFor: return RunFor(statement);
    case Statement::Kind::kIf: return RunIf(statement);
    case Statement::Kind::kWith: return RunWith(statement);
    case Statement::Kind::kSet: RETURN_IF_ERROR(RunSet(statement)); break;
    case Statement::Kind::kSetBlock: RETURN_IF_ERROR(RunSetBlock(statement)); break;
    case Statement::Kind::kFilterBlock: RETURN_IF_ERROR(RunFilterBlock(statement)); break;
    case Statement::Kind::kMacro: RETURN_IF_ERROR(AtLine(statement.line, DefineMacro(statement))); break;
    case Statement::Kind::kCallBlock: RETURN_IF_ERROR(RunCallBlock(statement)); break;
    case Statement::Kind::kGeneration: RETURN_IF_ERROR(RunGeneration(statement)); break;
    case Statement::Kind::kBreak: return Flow::kBreak;
    case Statement::Kind::kContinue: return Flow::kContinue;
  }
  return Flow::kNormal;
}

Status Evaluator::Print(std::string_view text, int line) {
  std::string& out = captures_.empty() ? output_.text : captures_.back();
  RETURN_IF_ERROR(AtLine(line, budget_.CheckText(out.size() + text.size())));
  RETURN_IF_ERROR(AtLine(line, budget_.ChargeText(text.size())));
  out.append(text);
  return absl::OkStatus();
}

Status Evaluator::RunOutput(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value value, Eval(*statement.expr));
  if (value.is(ValueKind::kString)) return Print(value.string(), statement.line);
  if (value.is(ValueKind::kUndefined)) {
    std::vector<std::string>& names = output_.undefined;
    const bool known = std::find(names.begin(), names.end(), statement.expr->name) != names.end();
    if (statement.expr->kind == Expr::Kind::kName && !known && names.size() < kMaxUndefined)
      names.push_back(statement.expr->name);
    return absl::OkStatus();
  }
  const StatusOr<std::string> text = ToText(value, budget_);
  if (!text.ok()) return AtLine(statement.line, text.status());
  return Print(*text, statement.line);
}

StatusOr<List> Evaluator::LoopItems(const Statement& statement, const Value& source) {
  StatusOr<List> all = Items(source, budget_);
  if (!all.ok()) return AtLine(statement.line, all.status());
  if (statement.condition == nullptr) return all;
  List kept;
  for (const Value& item : *all) {
    const Scopes::Entered scope(scopes_, scopes_.current());
    RETURN_IF_ERROR(Assign(statement.target, item, statement.line));
    ASSIGN_OR_RETURN(const Value keep, Eval(*statement.condition));
    if (IsTrue(keep)) kept.push_back(item);
  }
  return kept;
}

StatusOr<Evaluator::Flow> Evaluator::RunFor(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value source, Eval(*statement.expr));
  return RunLoop(statement, source, /*depth=*/1);
}

StatusOr<Evaluator::Flow> Evaluator::RunLoop(const Statement& statement, const Value& source, int depth) {
  ASSIGN_OR_RETURN(List items, LoopItems(statement, source));
  if (!items.empty()) return RunItems(statement, std::move(items), depth);
  const Scopes::Entered scope(scopes_, scopes_.current());
  return RunBody(statement.other);
}

StatusOr<Evaluator::Flow> Evaluator::RunItems(const Statement& statement, List items, int depth) {
  auto loop = std::make_shared<Loop>();
  const size_t count = items.size();
  StatusOr<Value> list = Value::FromList(std::move(items));
  if (!list.ok()) return AtLine(statement.line, list.status());
  loop->items = *std::move(list);
  loop->depth = depth;
  if (statement.recursive) {
    RETURN_IF_ERROR(AtLine(statement.line, KeepScope()));
    loop->statement = &statement;
    loop->closure = scopes_.current();
  }
  for (size_t i = 0; i < count; ++i) {
    const Scopes::Entered scope(scopes_, scopes_.current());
    loop->index = i;
    scopes_.current()->Set(kLoop, Value::FromLoop(loop));
    RETURN_IF_ERROR(Assign(statement.target, loop->items.list()[i], statement.line));
    RETURN_IF_ERROR(AtLine(statement.line, budget_.Charge(1)));
    ASSIGN_OR_RETURN(const Flow flow, RunBody(statement.body));
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNormal;
}

StatusOr<Evaluator::Flow> Evaluator::RunIf(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    if (branch.condition != nullptr) {
      ASSIGN_OR_RETURN(const Value condition, Eval(*branch.condition));
      if (!IsTrue(condition)) continue;
    }
    return RunBody(branch.body);
  }
  return Flow::kNormal;
}

StatusOr<Evaluator::Flow> Evaluator::RunWith(const Statement& statement) {
  List values;
  for (const Parameter& variable : statement.parameters) {
    ASSIGN_OR_RETURN(Value value, Eval(*variable.value));
    values.push_back(std::move(value));
  }
  const Scopes::Entered scope(scopes_, scopes_.current());
  for (size_t i = 0; i < values.size(); ++i) {
    scopes_.current()->Set(statement.parameters[i].name, std::move(values[i]));
  }
  return RunBody(statement.body);
}

Status Evaluator::Assign(const Target& target, const Value& value, int line) {
  if (!target.attribute.empty()) return AssignAttribute(target, value, line);
  if (target.parts.empty()) {
    scopes_.current()->Set(target.name, value);
    return absl::OkStatus();
  }
  StatusOr<List> items = Items(value, budget_);
  if (!items.ok()) return AtLine(line, items.status());
  if (items->size() != target.parts.size()) {
    return TemplateError(line, StrCat("cannot unpack ", value.kind_name(), " of ", items->size(), " into ",
                                      target.parts.size(), " names"));
  }
  for (size_t i = 0; i < items->size(); ++i) RETURN_IF_ERROR(Assign(target.parts[i], (*items)[i], line));
  return absl::OkStatus();
}

Status Evaluator::AssignAttribute(const Target& target, const Value& value, int line) {
  const Value object = Lookup(target.name);
  if (!object.is(ValueKind::kNamespace)) {
    return TemplateError(line, StrCat("cannot set an attribute of \"", target.name, "\", which is ",
                                      object.kind_name(), " and not a namespace"));
  }
  // A namespace inside itself would never be freed.
  if (value.is(ValueKind::kNamespace))
    return TemplateError(line, "a namespace inside a namespace is not supported");
  if (target.attribute.starts_with('_')) {
    return TemplateError(
        line, StrCat("a namespace cannot hold \"", target.attribute, "\", which begins with an underscore"));
  }
  object.name_space()->Set(target.attribute, value);
  return absl::OkStatus();
}

Status Evaluator::RunSet(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value value, Eval(*statement.expr));
  return Assign(statement.target, value, statement.line);
}

StatusOr<Value> Evaluator::Captured(const Body& body, const Expr* filters) {
  captures_.emplace_back();
  {
    const Scopes::Entered scope(scopes_, scopes_.current());
    RETURN_IF_ERROR(RunBody(body).status());
  }
  Value text = Value::String(std::move(captures_.back()));
  captures_.pop_back();
  if (filters == nullptr) return text;
  block_texts_.push_back(std::move(text));
  ASSIGN_OR_RETURN(Value filtered, Eval(*filters));
  block_texts_.pop_back();
  return filtered;
}

Status Evaluator::RunSetBlock(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value text, Captured(statement.body, statement.expr.get()));
  return Assign(statement.target, text, statement.line);
}

Status Evaluator::RunFilterBlock(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value value, Captured(statement.body, statement.expr.get()));
  const StatusOr<std::string> text = ToText(value, budget_);
  if (!text.ok()) return AtLine(statement.line, text.status());
  return Print(*text, statement.line);
}

// What Hugging Face does: the place is the end of the text so far, whatever a macro or a block around has printed.
Status Evaluator::RunGeneration(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value text, Captured(statement.body, nullptr));
  const size_t begin = output_.text.size();
  RETURN_IF_ERROR(Print(text.string(), statement.line));
  output_.generated.push_back({begin, begin + text.string().size()});
  return absl::OkStatus();
}

}  // namespace ft::data::jinja
