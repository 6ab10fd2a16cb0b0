// The expressions of a Jinja template, by recursive descent over its tokens. Used by the parser of
// statements.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "worker/data/jinja/jinja_ast.h"
#include "worker/data/jinja/jinja_lexer.h"

namespace ft::data::jinja {

using ExprPtr = std::unique_ptr<Expr>;

// Reads from a token list with a place in it. One thread.
class ExprParser {
 public:
  explicit ExprParser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& Peek() const { return tokens_[at_]; }
  Token Next() { return tokens_[Peek().kind == Token::Kind::kEnd ? at_ : at_++]; }
  bool IsOperator(std::string_view text) const {
    return Peek().kind == Token::Kind::kOperator && Peek().text == text;
  }
  bool IsName(std::string_view text) const {
    return Peek().kind == Token::Kind::kName && Peek().text == text;
  }
  // Takes the token if it is this operator or word.
  bool AcceptOperator(std::string_view text);
  bool AcceptName(std::string_view text);
  Status ExpectOperator(std::string_view text);
  StatusOr<std::string> ExpectName();
  // "line N: unexpected ..., expected ..."
  Status Unexpected(std::string_view expected) const;

  // Whether one of the tokens from `begin` up to the next one is this name. `place` gives such a number.
  size_t place() const { return at_; }
  bool NamedSince(size_t begin, std::string_view name) const;

  // With `a if b else c`; with_condition = false leaves an "if" to the caller.
  StatusOr<ExprPtr> ParseExpression(bool with_condition = true);
  // Expressions separated by commas become a tuple.
  StatusOr<ExprPtr> ParseTuple(bool with_condition);
  // Anything but operators between operands: what {% call %} calls.
  StatusOr<ExprPtr> ParseUnary();
  // | filters on `operand`; the first name may stand without "|", as in {% filter upper %}.
  StatusOr<ExprPtr> ParseFilterChain(ExprPtr operand, bool first_without_bar);

 private:
  // Binary operators of one level, from left to right; Parse is the next level's method.
  using Level = StatusOr<ExprPtr> (ExprParser::*)();
  StatusOr<ExprPtr> ParseLeftToRight(const std::vector<std::string_view>& operators, Level next);
  StatusOr<ExprPtr> ParseConditional();
  StatusOr<ExprPtr> ParseOr();
  StatusOr<ExprPtr> ParseAnd();
  StatusOr<ExprPtr> ParseNot();
  StatusOr<ExprPtr> ParseCompare();
  StatusOr<ExprPtr> ParseSum();
  StatusOr<ExprPtr> ParseConcat();
  StatusOr<ExprPtr> ParseProduct();
  StatusOr<ExprPtr> ParsePower();
  StatusOr<ExprPtr> ParseUnaryOperand(bool with_filters);
  StatusOr<ExprPtr> ParsePrimary();
  StatusOr<ExprPtr> ParseNameOrLiteral();
  StatusOr<ExprPtr> ParseList();
  StatusOr<ExprPtr> ParseDict();
  StatusOr<ExprPtr> ParsePostfix(ExprPtr operand);
  StatusOr<ExprPtr> ParseFilters(ExprPtr operand);
  StatusOr<ExprPtr> ParseFilter(ExprPtr operand);
  StatusOr<ExprPtr> ParseAttribute(ExprPtr operand);
  StatusOr<ExprPtr> ParseTest(ExprPtr operand);
  StatusOr<ExprPtr> ParseSubscript(ExprPtr operand);
  Status ParseArguments(Expr* call);

  ExprPtr Make(Expr::Kind kind, std::string name = "") const;
  // Appends a child and counts depth; INVALID_ARGUMENT when the expression gets too deep. A null child is
  // allowed.
  Status Append(Expr* parent, ExprPtr child) const;

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
};

}  // namespace ft::data::jinja
