#include "worker/data/jinja/jinja_eval.h"

#include <algorithm>

#include "worker/data/jinja/jinja_filters.h"
#include "worker/data/jinja/jinja_lexer.h"

namespace ft::data::jinja {
namespace {

using ValueKind = Value::Kind;

StatusOr<List> Iterable(const Value& value) {
  if (value.is(ValueKind::kList)) return value.list();
  if (value.is(ValueKind::kUndefined)) return List();
  List items;
  if (value.is(ValueKind::kDict)) {
    for (const auto& entry : value.dict().entries) items.push_back(Value::String(entry.first));
    return items;
  }
  if (!value.is(ValueKind::kString))
    return absl::InvalidArgumentError(StrCat("loops over ", value.kind_name()));
  const std::string& text = value.string();
  const std::vector<size_t> starts = CharacterStarts(text);
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    items.push_back(Value::String(text.substr(starts[i], starts[i + 1] - starts[i])));
  }
  return items;
}

// The variable `loop` inside a for.
StatusOr<Value> LoopVariable(const List& items, size_t index) {
  const auto count = static_cast<int64_t>(items.size());
  const auto at = static_cast<int64_t>(index);
  Dict loop;
  loop.entries = {{"index", Value::Int(at + 1)},        {"index0", Value::Int(at)},
                  {"revindex", Value::Int(count - at)}, {"revindex0", Value::Int(count - at - 1)},
                  {"first", Value::Bool(at == 0)},      {"last", Value::Bool(at + 1 == count)},
                  {"length", Value::Int(count)}};
  if (index > 0) loop.Set("previtem", items[index - 1]);
  if (index + 1 < items.size()) loop.Set("nextitem", items[index + 1]);
  return Value::FromDict(std::move(loop));
}

}  // namespace

const Value* Arguments::Get(size_t position, std::string_view name) const {
  return position < positional.size() ? &positional[position] : named.Find(name);
}

Status Evaluator::Charge(int line, size_t bytes) {
  steps_ += 1 + static_cast<int64_t>(bytes / 64);
  if (steps_ > limits_.max_steps) {
    return absl::ResourceExhaustedError(
        StrCat("line ", line, ": the template takes more than ", limits_.max_steps, " steps"));
  }
  if (bytes > limits_.max_output_bytes) {
    return absl::ResourceExhaustedError(StrCat("line ", line, ": the template makes a text longer than ",
                                               limits_.max_output_bytes, " bytes"));
  }
  return absl::OkStatus();
}

// Puts the line into an error that comes from a value, and counts the size of what was made.
StatusOr<Value> Evaluator::Checked(int line, StatusOr<Value> value) {
  if (!value.ok()) {
    return Message(value.status()).starts_with("line ") ? value.status()
                                                        : WithContext(value.status(), StrCat("line ", line));
  }
  size_t bytes = 0;
  if (value->is(ValueKind::kString)) bytes = value->string().size();
  if (value->is(ValueKind::kList)) bytes = value->list().size() * sizeof(Value);
  RETURN_IF_ERROR(Charge(line, bytes));
  return value;
}

StatusOr<JinjaTemplate::Output> Evaluator::Run(const Body& body) {
  RETURN_IF_ERROR(RunBody(body).status());
  return std::move(output_);
}

StatusOr<Evaluator::Flow> Evaluator::RunBody(const Body& body) {
  for (const Statement& statement : body) {
    ASSIGN_OR_RETURN(const Flow flow, RunStatement(statement));
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

StatusOr<Evaluator::Flow> Evaluator::RunStatement(const Statement& statement) {
  RETURN_IF_ERROR(
      Charge(statement.line, output_.text.size() > limits_.max_output_bytes ? output_.text.size() : 0));
  switch (statement.kind) {
    case Statement::Kind::kText:
      RETURN_IF_ERROR(Charge(statement.line, statement.text.size()));
      output_.text.append(statement.text);
      return Flow::kNormal;
    case Statement::Kind::kOutput: RETURN_IF_ERROR(RunOutput(statement)); return Flow::kNormal;
    case Statement::Kind::kFor: return RunFor(statement);
    case Statement::Kind::kIf: return RunIf(statement);
    case Statement::Kind::kSet: RETURN_IF_ERROR(RunSet(statement)); return Flow::kNormal;
    case Statement::Kind::kSetAttribute: RETURN_IF_ERROR(RunSetAttribute(statement)); return Flow::kNormal;
    case Statement::Kind::kSetBlock: RETURN_IF_ERROR(RunSetBlock(statement)); return Flow::kNormal;
    case Statement::Kind::kGeneration: RETURN_IF_ERROR(RunGeneration(statement)); return Flow::kNormal;
    case Statement::Kind::kBreak: return Flow::kBreak;
    case Statement::Kind::kContinue: return Flow::kContinue;
  }
  return Flow::kNormal;
}

Status Evaluator::RunOutput(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value value, Eval(*statement.expr));
  const StatusOr<std::string> text = ToText(value);
  if (!text.ok()) return WithContext(text.status(), StrCat("line ", statement.line));
  const size_t begin = output_.text.size();
  RETURN_IF_ERROR(Charge(
      statement.line, begin + text->size() > limits_.max_output_bytes ? begin + text->size() : text->size()));
  output_.text.append(*text);
  if (captures_ == 0) output_.expressions.push_back({begin, output_.text.size(), statement.line});
  return absl::OkStatus();
}

StatusOr<List> Evaluator::LoopItems(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value source, Eval(*statement.expr));
  StatusOr<List> all = Iterable(source);
  if (!all.ok()) return WithContext(all.status(), StrCat("line ", statement.line));
  if (statement.condition == nullptr) return all;
  List kept;
  for (const Value& item : *all) {
    scopes_.emplace_back();
    RETURN_IF_ERROR(BindTargets(statement, item, &scopes_.back()));
    ASSIGN_OR_RETURN(const Value keep, Eval(*statement.condition));
    scopes_.pop_back();
    if (IsTrue(keep)) kept.push_back(item);
  }
  return kept;
}

StatusOr<Evaluator::Flow> Evaluator::RunFor(const Statement& statement) {
  ASSIGN_OR_RETURN(const List items, LoopItems(statement));
  RETURN_IF_ERROR(Charge(statement.line, items.size()));
  if (items.empty()) return RunBody(statement.other);
  for (size_t i = 0; i < items.size(); ++i) {
    scopes_.emplace_back();
    RETURN_IF_ERROR(BindTargets(statement, items[i], &scopes_.back()));
    ASSIGN_OR_RETURN(Value loop, Checked(statement.line, LoopVariable(items, i)));
    scopes_.back().Set("loop", std::move(loop));
    ASSIGN_OR_RETURN(const Flow flow, RunBody(statement.body));
    scopes_.pop_back();
    if (flow == Flow::kBreak) break;
  }
  return Flow::kNormal;
}

Status Evaluator::BindTargets(const Statement& statement, const Value& value, Dict* scope) {
  if (statement.targets.size() == 1) {
    scope->Set(statement.targets[0], value);
    return absl::OkStatus();
  }
  if (!value.is(ValueKind::kList) || value.list().size() != statement.targets.size()) {
    return TemplateError(statement.line, StrCat("cannot unpack ", value.kind_name(), " into ",
                                                statement.targets.size(), " names"));
  }
  for (size_t i = 0; i < statement.targets.size(); ++i) scope->Set(statement.targets[i], value.list()[i]);
  return absl::OkStatus();
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

Status Evaluator::RunSet(const Statement& statement) {
  ASSIGN_OR_RETURN(const Value value, Eval(*statement.expr));
  return BindTargets(statement, value, &scopes_.back());
}

Status Evaluator::RunSetAttribute(const Statement& statement) {
  const Value target = Lookup(statement.targets[0]);
  if (!target.is(ValueKind::kNamespace)) {
    return TemplateError(statement.line, StrCat("cannot set an attribute of \"", statement.targets[0],
                                                "\", which is ", target.kind_name(), " and not a namespace"));
  }
  ASSIGN_OR_RETURN(Value value, Eval(*statement.expr));
  // A namespace inside itself would never be freed.
  if (value.is(ValueKind::kNamespace))
    return TemplateError(statement.line, "a namespace inside a namespace is not supported");
  target.name_space()->Set(statement.targets[1], std::move(value));
  return absl::OkStatus();
}

Status Evaluator::RunSetBlock(const Statement& statement) {
  std::string outside = std::move(output_.text);
  output_.text.clear();
  ++captures_;
  scopes_.emplace_back();
  RETURN_IF_ERROR(RunBody(statement.body).status());
  scopes_.pop_back();
  --captures_;
  std::swap(outside, output_.text);
  scopes_.back().Set(statement.targets[0], Value::String(std::move(outside)));
  return absl::OkStatus();
}

Status Evaluator::RunGeneration(const Statement& statement) {
  if (captures_ > 0)
    return TemplateError(statement.line, "{% generation %} inside a {% set %} block is not supported");
  const size_t begin = output_.text.size();
  scopes_.emplace_back();
  RETURN_IF_ERROR(RunBody(statement.body).status());
  scopes_.pop_back();
  output_.generated.push_back({begin, output_.text.size(), statement.line});
  return absl::OkStatus();
}

Value Evaluator::Lookup(const std::string& name) const {
  for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
    if (const Value* found = scope->Find(name)) return *found;
  }
  const Value* found = variables_.Find(name);
  return found != nullptr ? *found : Value::MakeUndefined(name);
}

StatusOr<Value> Evaluator::Eval(const Expr& expr) { return Checked(expr.line, EvalKind(expr)); }

StatusOr<Value> Evaluator::EvalKind(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::kLiteral: return expr.value;
    case Expr::Kind::kName: return Lookup(expr.name);
    case Expr::Kind::kList: return EvalList(expr);
    case Expr::Kind::kDict: return EvalDict(expr);
    case Expr::Kind::kUnary: return EvalUnary(expr);
    case Expr::Kind::kBinary: return EvalBinary(expr);
    case Expr::Kind::kCompare: return EvalCompare(expr);
    case Expr::Kind::kConditional: return EvalConditional(expr);
    case Expr::Kind::kSlice: return EvalSlice(expr);
    case Expr::Kind::kCall: return EvalCall(expr);
    case Expr::Kind::kTest: return EvalTest(expr);
    case Expr::Kind::kAttribute:
    case Expr::Kind::kIndex:
    case Expr::Kind::kFilter: break;
  }
  ASSIGN_OR_RETURN(const Value operand, Eval(*expr.children[0]));
  if (expr.kind == Expr::Kind::kAttribute) return GetAttribute(operand, expr.name);
  if (expr.kind == Expr::Kind::kIndex) {
    ASSIGN_OR_RETURN(const Value index, Eval(*expr.children[1]));
    return GetItem(operand, index);
  }
  ASSIGN_OR_RETURN(const Arguments arguments, EvalArguments(expr));
  return ApplyFilter(expr.name, operand, arguments);
}

StatusOr<Value> Evaluator::EvalList(const Expr& expr) {
  List items;
  for (const auto& child : expr.children) {
    ASSIGN_OR_RETURN(Value item, Eval(*child));
    items.push_back(std::move(item));
  }
  return Value::FromList(std::move(items));
}

StatusOr<Value> Evaluator::EvalDict(const Expr& expr) {
  Dict dict;
  for (size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    ASSIGN_OR_RETURN(const Value key, Eval(*expr.children[i]));
    if (!key.is(ValueKind::kString))
      return TemplateError(expr.line, StrCat(key.kind_name(), " as a key is not supported"));
    ASSIGN_OR_RETURN(Value value, Eval(*expr.children[i + 1]));
    dict.Set(key.string(), std::move(value));
  }
  return Value::FromDict(std::move(dict));
}

StatusOr<Value> Evaluator::EvalUnary(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value operand, Eval(*expr.children[0]));
  if (expr.name == "not") return Value::Bool(!IsTrue(operand));
  if (!operand.is(ValueKind::kInt))
    return TemplateError(expr.line, StrCat("\"", expr.name, "\" before ", operand.kind_name()));
  return expr.name == "+" ? StatusOr<Value>(operand) : Combine("-", Value::Int(0), operand);
}

StatusOr<Value> Evaluator::EvalBinary(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Eval(*expr.children[0]));
  if (expr.name == "and" && !IsTrue(left)) return left;
  if (expr.name == "or" && IsTrue(left)) return left;
  ASSIGN_OR_RETURN(Value right, Eval(*expr.children[1]));
  if (expr.name == "and" || expr.name == "or") return right;
  return Combine(expr.name, left, right);
}

StatusOr<Value> Evaluator::EvalCompare(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Eval(*expr.children[0]));
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Eval(*expr.children[i + 1]));
    ASSIGN_OR_RETURN(const bool holds, Compare(expr.operators[i], left, right));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

StatusOr<Value> Evaluator::EvalConditional(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value condition, Eval(*expr.children[1]));
  if (IsTrue(condition)) return Eval(*expr.children[0]);
  if (expr.children[2] == nullptr) return Value();
  return Eval(*expr.children[2]);
}

StatusOr<Value> Evaluator::EvalSlice(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value operand, Eval(*expr.children[0]));
  std::vector<Value> bounds;
  for (size_t i = 1; i < expr.children.size(); ++i) {
    bounds.push_back(Value::None());
    if (expr.children[i] == nullptr) continue;
    ASSIGN_OR_RETURN(bounds.back(), Eval(*expr.children[i]));
  }
  return GetSlice(operand, bounds[0], bounds[1], bounds[2]);
}

StatusOr<Arguments> Evaluator::EvalArguments(const Expr& expr) {
  Arguments arguments;
  for (size_t i = 1; i < expr.children.size(); ++i) {
    ASSIGN_OR_RETURN(Value value, Eval(*expr.children[i]));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, argument] : expr.named) {
    ASSIGN_OR_RETURN(Value value, Eval(*argument));
    arguments.named.Set(name, std::move(value));
  }
  return arguments;
}

StatusOr<Value> Evaluator::EvalCall(const Expr& expr) {
  const Expr& callee = *expr.children[0];
  ASSIGN_OR_RETURN(const Arguments arguments, EvalArguments(expr));
  if (callee.kind == Expr::Kind::kName) return CallFunction(callee.name, arguments);
  if (callee.kind != Expr::Kind::kAttribute)
    return TemplateError(expr.line, "calling the result of an expression is not supported");
  ASSIGN_OR_RETURN(const Value object, Eval(*callee.children[0]));
  return CallMethod(object, callee.name, arguments);
}

StatusOr<Value> Evaluator::EvalTest(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value operand, Eval(*expr.children[0]));
  ASSIGN_OR_RETURN(const Arguments arguments, EvalArguments(expr));
  ASSIGN_OR_RETURN(const bool holds, ApplyTest(expr.name, operand, arguments));
  return Value::Bool(holds != expr.negated);
}

}  // namespace ft::data::jinja
