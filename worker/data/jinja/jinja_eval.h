// Runs parsed templates. One Evaluator renders one template once. Statements are in jinja_eval.cc, expressions in
// jinja_eval_expr.cc, macros and calls in jinja_eval_calls.cc.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/jinja.h"
#include "worker/data/jinja/jinja_arguments.h"
#include "worker/data/jinja/jinja_ast.h"
#include "worker/data/jinja/jinja_budget.h"
#include "worker/data/jinja/jinja_scope.h"

namespace ft::data::jinja {

class Evaluator {
 public:
  // Both must outlive the evaluator.
  Evaluator(const Dict& variables, const JinjaOptions& options)
      : variables_(variables), now_(options.now), budget_(options.limits) {}
  StatusOr<JinjaTemplate::Output> Run(const Body& body);

 private:
  enum class Flow { kNormal, kBreak, kContinue };

  StatusOr<Flow> RunBody(const Body& body);
  StatusOr<Flow> RunStatement(const Statement& statement);
  StatusOr<Flow> RunFor(const Statement& statement);
  StatusOr<Flow> RunLoop(const Statement& statement, const Value& source, int depth);
  StatusOr<Flow> RunItems(const Statement& statement, List items, int depth);
  StatusOr<Flow> RunIf(const Statement& statement);
  StatusOr<Flow> RunWith(const Statement& statement);
  Status RunOutput(const Statement& statement);
  Status RunSet(const Statement& statement);
  Status RunSetBlock(const Statement& statement);
  Status RunFilterBlock(const Statement& statement);
  Status RunCallBlock(const Statement& statement);
  Status RunGeneration(const Statement& statement);
  Status DefineMacro(const Statement& statement);
  // The scope that runs and all around it stay in memory until the end, which is paid for.
  Status KeepScope();
  StatusOr<List> LoopItems(const Statement& statement, const Value& source);
  Status Assign(const Target& target, const Value& value, int line);
  Status AssignAttribute(const Target& target, const Value& value, int line);
  // What a body prints, as a value; through the filters of `filters` unless that is null.
  StatusOr<Value> Captured(const Body& body, const Expr* filters);
  Status Print(std::string_view text, int line);

  StatusOr<Value> Eval(const Expr& expr);
  StatusOr<Value> EvalKind(const Expr& expr);
  StatusOr<Value> EvalItems(const Expr& expr);
  StatusOr<Value> EvalDict(const Expr& expr);
  StatusOr<Value> EvalUnary(const Expr& expr);
  StatusOr<Value> EvalBinary(const Expr& expr);
  StatusOr<Value> EvalCompare(const Expr& expr);
  StatusOr<Value> EvalConditional(const Expr& expr);
  StatusOr<Value> EvalIndex(const Expr& expr);
  StatusOr<Value> EvalSlice(const Expr& expr);
  StatusOr<Value> EvalFilter(const Expr& expr);
  StatusOr<Value> EvalTest(const Expr& expr);
  StatusOr<Arguments> EvalArguments(const Expr& expr);
  Value Lookup(const std::string& name) const;

  StatusOr<Value> EvalCall(const Expr& expr);
  StatusOr<Value> Call(const Value& callee, const Arguments& arguments);
  StatusOr<Value> CallMacro(const Callable& macro, const Arguments& arguments);
  Status BindParameters(const Statement& macro, const Arguments& arguments);
  Status BindRest(const Statement& macro, const Arguments& arguments);
  StatusOr<Value> CallLoop(Loop& loop, const Arguments& arguments);

  // Puts the line into an error that has none yet.
  static Status AtLine(int line, const Status& status);

  const Dict& variables_;
  const std::optional<std::tm>& now_;
  Budget budget_;
  Scopes scopes_;
  JinjaTemplate::Output output_;
  // Output of blocks and macros that is to become a value; the last is written to. Empty = the text is.
  std::vector<std::string> captures_;
  std::vector<Value> block_texts_;  // What the filters of a block are for.
};

}  // namespace ft::data::jinja
