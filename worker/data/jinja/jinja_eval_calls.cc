#include <algorithm>

#include "worker/data/jinja/jinja_eval.h"
#include "worker/data/jinja/jinja_functions.h"
#include "worker/data/jinja/jinja_lexer.h"
#include "worker/data/jinja/jinja_methods.h"
#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_print.h"

namespace ft::data::jinja {
namespace {

using ValueKind = Value::Kind;

constexpr std::string_view kCaller = "caller";
// Steps for a scope that stays in memory until the end.
constexpr uint64_t kKeptScopeSteps = 16;

}  // namespace

StatusOr<Value> Evaluator::EvalCall(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value callee, Eval(*expr.children[0]));
  ASSIGN_OR_RETURN(const Arguments arguments, EvalArguments(expr));
  return Call(callee, arguments);
}

StatusOr<Value> Evaluator::Call(const Value& callee, const Arguments& arguments) {
  if (callee.is(ValueKind::kLoop)) return CallLoop(*callee.loop(), arguments);
  if (!callee.is(ValueKind::kCallable)) return WrongType("calling", callee);
  const Callable& callable = callee.callable();
  if (callable.macro != nullptr) return CallMacro(callable, arguments);
  if (callable.object.is(ValueKind::kUndefined)) return CallFunction(callable.name, arguments, now_, budget_);
  return CallMethod(callable.object, callable.name, arguments, budget_);
}

Status Evaluator::KeepScope() {
  scopes_.Keep();
  return budget_.Charge(kKeptScopeSteps);
}

Status Evaluator::DefineMacro(const Statement& statement) {
  RETURN_IF_ERROR(KeepScope());
  scopes_.current()->Set(
      statement.text,
      Value::FromCallable({.name = statement.text, .macro = &statement, .closure = scopes_.current()}));
  return absl::OkStatus();
}

StatusOr<Value> Evaluator::CallMacro(const Callable& macro, const Arguments& arguments) {
  const Statement& statement = *macro.macro;
  captures_.emplace_back();
  {
    const Scopes::Entered scope(scopes_, macro.closure);
    RETURN_IF_ERROR(BindParameters(statement, arguments));
    RETURN_IF_ERROR(RunBody(statement.body).status());
  }
  Value text = Value::String(std::move(captures_.back()));
  captures_.pop_back();
  return text;
}

// The defaults are evaluated in the macro's scope, where those before them are known.
Status Evaluator::BindParameters(const Statement& macro, const Arguments& arguments) {
  for (size_t i = 0; i < macro.parameters.size(); ++i) {
    const Parameter& parameter = macro.parameters[i];
    if (i < arguments.positional.size() && arguments.named.Find(parameter.name) != nullptr)
      return absl::InvalidArgumentError(
          StrCat("the macro ", macro.text, " is given ", parameter.name, " twice"));
    const Value* given = arguments.Get(i, parameter.name);
    Value value = given != nullptr ? *given : Value::MakeUndefined(parameter.name);
    if (given == nullptr && parameter.value != nullptr) {
      ASSIGN_OR_RETURN(value, Eval(*parameter.value));
    }
    scopes_.current()->Set(parameter.name, std::move(value));
  }
  return BindRest(macro, arguments);
}

// What no parameter takes: varargs, kwargs and caller.
Status Evaluator::BindRest(const Statement& macro, const Arguments& arguments) {
  const size_t taken = std::min(macro.parameters.size(), arguments.positional.size());
  if (taken < arguments.positional.size() && !macro.takes_varargs) {
    return absl::InvalidArgumentError(
        StrCat("the macro ", macro.text, " takes not more than ", macro.parameters.size(), " arguments"));
  }
  List more(arguments.positional.begin() + static_cast<std::ptrdiff_t>(taken), arguments.positional.end());
  Dict named;
  const Value* caller = nullptr;
  for (const auto& [name, value] : arguments.named.entries) {
    const bool is_parameter =
        std::any_of(macro.parameters.begin(), macro.parameters.end(),
                    [&name = name](const Parameter& known) { return known.name == name; });
    if (is_parameter) continue;
    if (name == kCaller && macro.takes_caller) {
      caller = &value;
    } else if (macro.takes_kwargs) {
      named.Set(name, value);
    } else {
      return absl::InvalidArgumentError(StrCat("the macro ", macro.text, " takes no argument ", name));
    }
  }
  if (macro.takes_varargs) {
    ASSIGN_OR_RETURN(Value varargs, Value::FromList(std::move(more), Sequence::kTuple));
    scopes_.current()->Set("varargs", std::move(varargs));
  }
  if (macro.takes_kwargs) {
    ASSIGN_OR_RETURN(Value kwargs, Value::FromDict(std::move(named)));
    scopes_.current()->Set("kwargs", std::move(kwargs));
  }
  // The body of a call block may ask for the caller of the macro around it.
  if (macro.takes_caller && macro.kind == Statement::Kind::kMacro)
    scopes_.current()->Set(kCaller, caller != nullptr ? *caller : Value::MakeUndefined("caller"));
  return absl::OkStatus();
}

Status Evaluator::RunCallBlock(const Statement& statement) {
  StatusOr<Value> callee = Eval(*statement.expr->children[0]);
  if (!callee.ok()) return callee.status();
  ASSIGN_OR_RETURN(Arguments arguments, EvalArguments(*statement.expr));
  RETURN_IF_ERROR(AtLine(statement.line, KeepScope()));
  arguments.named.Set(
      kCaller,
      Value::FromCallable({.name = statement.text, .macro = &statement, .closure = scopes_.current()}));
  const StatusOr<Value> value = Call(*callee, arguments);
  if (!value.ok()) return AtLine(statement.line, value.status());
  const StatusOr<std::string> text = ToText(*value, budget_);
  if (!text.ok()) return AtLine(statement.line, text.status());
  return Print(*text, statement.line);
}

StatusOr<Value> Evaluator::CallLoop(Loop& loop, const Arguments& arguments) {
  if (loop.statement == nullptr)
    return absl::InvalidArgumentError("calls loop(), which goes with {% for ... recursive %} only");
  if (arguments.positional.size() != 1) return absl::InvalidArgumentError("loop() takes one list");
  captures_.emplace_back();
  {
    const Scopes::Entered scope(scopes_, loop.closure);
    RETURN_IF_ERROR(RunLoop(*loop.statement, arguments.positional[0], loop.depth + 1).status());
  }
  Value text = Value::String(std::move(captures_.back()));
  captures_.pop_back();
  return text;
}

}  // namespace ft::data::jinja
