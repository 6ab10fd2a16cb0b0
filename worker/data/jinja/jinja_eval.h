// Runs parsed templates. One Evaluator renders one template once.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/jinja.h"
#include "worker/data/jinja/jinja_ast.h"

namespace ft::data::jinja {

// What a filter, test or call was given.
struct Arguments {
  std::vector<Value> positional;
  Dict named;
  // The argument at a position or under a name; nullptr when neither was given.
  const Value* Get(size_t position, std::string_view name) const;
};

class Evaluator {
 public:
  // `variables` must outlive the evaluator.
  Evaluator(const Dict& variables, const JinjaLimits& limits) : variables_(variables), limits_(limits) {}
  StatusOr<JinjaTemplate::Output> Run(const Body& body);

 private:
  enum class Flow { kNormal, kBreak, kContinue };

  StatusOr<Flow> RunBody(const Body& body);
  StatusOr<Flow> RunStatement(const Statement& statement);
  StatusOr<Flow> RunFor(const Statement& statement);
  StatusOr<Flow> RunIf(const Statement& statement);
  Status RunOutput(const Statement& statement);
  Status RunSet(const Statement& statement);
  Status RunSetAttribute(const Statement& statement);
  Status RunSetBlock(const Statement& statement);
  Status RunGeneration(const Statement& statement);
  StatusOr<List> LoopItems(const Statement& statement);
  Status BindTargets(const Statement& statement, const Value& value, Dict* scope);

  StatusOr<Value> Eval(const Expr& expr);
  StatusOr<Value> EvalKind(const Expr& expr);
  StatusOr<Value> EvalList(const Expr& expr);
  StatusOr<Value> EvalDict(const Expr& expr);
  StatusOr<Value> EvalUnary(const Expr& expr);
  StatusOr<Value> EvalBinary(const Expr& expr);
  StatusOr<Value> EvalCompare(const Expr& expr);
  StatusOr<Value> EvalConditional(const Expr& expr);
  StatusOr<Value> EvalSlice(const Expr& expr);
  StatusOr<Value> EvalCall(const Expr& expr);
  StatusOr<Value> EvalTest(const Expr& expr);
  StatusOr<Arguments> EvalArguments(const Expr& expr);
  Value Lookup(const std::string& name) const;

  Status Charge(int line, size_t bytes);
  StatusOr<Value> Checked(int line, StatusOr<Value> value);

  const Dict& variables_;
  const JinjaLimits& limits_;
  std::vector<Dict> scopes_ = {Dict()};
  JinjaTemplate::Output output_;
  int captures_ = 0;  // Blocks whose output is a value and not part of the text.
  int64_t steps_ = 0;
};

}  // namespace ft::data::jinja
