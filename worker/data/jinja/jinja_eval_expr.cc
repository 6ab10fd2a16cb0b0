#include "worker/data/jinja/jinja_eval.h"
#include "worker/data/jinja/jinja_filters.h"
#include "worker/data/jinja/jinja_functions.h"
#include "worker/data/jinja/jinja_lexer.h"
#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_tests.h"

namespace ft::data::jinja {
namespace {

using ValueKind = Value::Kind;

}  // namespace

Value Evaluator::Lookup(const std::string& name) const {
  if (const Value* found = scopes_.Find(name)) return *found;
  if (const Value* found = variables_.Find(name)) return *found;
  // Without a date there is no such function, and templates take the date that they have for that.
  if (!IsFunction(name) || (name == "strftime_now" && !now_)) return Value::MakeUndefined(name);
  return Value::FromCallable({.name = name});
}

StatusOr<Value> Evaluator::Eval(const Expr& expr) {
  RETURN_IF_ERROR(AtLine(expr.line, budget_.Enter()));
  RETURN_IF_ERROR(AtLine(expr.line, budget_.Charge(1)));
  StatusOr<Value> value = EvalKind(expr);
  budget_.Leave();
  if (!value.ok()) return AtLine(expr.line, value.status());
  return value;
}

StatusOr<Value> Evaluator::EvalKind(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::kLiteral: return expr.value;
    case Expr::Kind::kName: return Lookup(expr.name);
    case Expr::Kind::kBlockText: return block_texts_.back();
    case Expr::Kind::kList:
    case Expr::Kind::kTuple: return EvalItems(expr);
    case Expr::Kind::kDict: return EvalDict(expr);
    case Expr::Kind::kUnary: return EvalUnary(expr);
    case Expr::Kind::kBinary: return EvalBinary(expr);
    case Expr::Kind::kCompare: return EvalCompare(expr);
    case Expr::Kind::kConditional: return EvalConditional(expr);
    case Expr::Kind::kIndex: return EvalIndex(expr);
    case Expr::Kind::kSlice: return EvalSlice(expr);
    case Expr::Kind::kCall: return EvalCall(expr);
    case Expr::Kind::kFilter: return EvalFilter(expr);
    case Expr::Kind::kTest: return EvalTest(expr);
    case Expr::Kind::kAttribute: {
      ASSIGN_OR_RETURN(const Value object, Eval(*expr.children[0]));
      return GetAttribute(object, expr.name);
    }
  }
  return Value();
}

StatusOr<Value> Evaluator::EvalItems(const Expr& expr) {
  List items;
  for (const auto& child : expr.children) {
    ASSIGN_OR_RETURN(Value item, Eval(*child));
    items.push_back(std::move(item));
  }
  return Value::FromList(std::move(items),
                         expr.kind == Expr::Kind::kTuple ? Sequence::kTuple : Sequence::kList);
}

StatusOr<Value> Evaluator::EvalDict(const Expr& expr) {
  Dict dict;
  for (size_t i = 0; i + 1 < expr.children.size(); i += 2) {
    ASSIGN_OR_RETURN(const Value key, Eval(*expr.children[i]));
    if (!key.is(ValueKind::kString))
      return TemplateError(expr.line, StrCat(key.kind_name(), " as a key is not supported"));
    ASSIGN_OR_RETURN(Value value, Eval(*expr.children[i + 1]));
    RETURN_IF_ERROR(budget_.Charge(1 + dict.entries.size() / 8));
    dict.Set(key.string(), std::move(value));
  }
  return Value::FromDict(std::move(dict));
}

StatusOr<Value> Evaluator::EvalUnary(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value operand, Eval(*expr.children[0]));
  if (expr.name == "not") return Value::Bool(!IsTrue(operand));
  return Signed(expr.name, operand);
}

StatusOr<Value> Evaluator::EvalBinary(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Eval(*expr.children[0]));
  if (expr.name == "and" && !IsTrue(left)) return left;
  if (expr.name == "or" && IsTrue(left)) return left;
  ASSIGN_OR_RETURN(Value right, Eval(*expr.children[1]));
  if (expr.name == "and" || expr.name == "or") return right;
  return Combine(expr.name, left, right, budget_);
}

StatusOr<Value> Evaluator::EvalCompare(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, Eval(*expr.children[0]));
  for (size_t i = 0; i < expr.operators.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, Eval(*expr.children[i + 1]));
    ASSIGN_OR_RETURN(const bool holds, Compare(expr.operators[i], left, right, budget_));
    if (!holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

StatusOr<Value> Evaluator::EvalConditional(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value condition, Eval(*expr.children[1]));
  if (IsTrue(condition)) return Eval(*expr.children[0]);
  if (expr.children[2] == nullptr) return Value::MakeUndefined("an if without else");
  return Eval(*expr.children[2]);
}

StatusOr<Value> Evaluator::EvalIndex(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value object, Eval(*expr.children[0]));
  ASSIGN_OR_RETURN(const Value index, Eval(*expr.children[1]));
  return GetItem(object, index, budget_);
}

StatusOr<Value> Evaluator::EvalSlice(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value operand, Eval(*expr.children[0]));
  SliceBounds bounds;
  Value* const given[] = {&bounds.start, &bounds.stop, &bounds.step};
  for (size_t i = 1; i < expr.children.size(); ++i) {
    if (expr.children[i] == nullptr) continue;
    ASSIGN_OR_RETURN(*given[i - 1], Eval(*expr.children[i]));
  }
  return GetSlice(operand, bounds, budget_);
}

StatusOr<Value> Evaluator::EvalFilter(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value operand, Eval(*expr.children[0]));
  ASSIGN_OR_RETURN(const Arguments arguments, EvalArguments(expr));
  return ApplyFilter(expr.name, operand, arguments, budget_);
}

StatusOr<Value> Evaluator::EvalTest(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value operand, Eval(*expr.children[0]));
  ASSIGN_OR_RETURN(const Arguments arguments, EvalArguments(expr));
  ASSIGN_OR_RETURN(const bool holds, ApplyTest(expr.name, operand, arguments, budget_));
  return Value::Bool(holds != expr.negated);
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

}  // namespace ft::data::jinja
