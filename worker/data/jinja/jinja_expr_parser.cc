#include "worker/data/jinja/jinja_expr_parser.h"

#include <algorithm>
#include <utility>

#include "worker/data/jinja/jinja_parser.h"

namespace ft::data::jinja {
namespace {

using Kind = Expr::Kind;
using TokenKind = Token::Kind;

Status TooDeep(int line) {
  return TemplateError(line, StrCat("an expression nests deeper than ", kMaxExpressionDepth));
}

// Words that cannot begin an operand.
bool IsReserved(std::string_view name) {
  return name == "and" || name == "or" || name == "else" || name == "if" || name == "in" || name == "is" ||
         name == "not";
}

}  // namespace

bool ExprParser::AcceptOperator(std::string_view text) {
  if (!IsOperator(text)) return false;
  ++at_;
  return true;
}

bool ExprParser::AcceptName(std::string_view text) {
  if (!IsName(text)) return false;
  ++at_;
  return true;
}

bool ExprParser::NamedSince(size_t begin, std::string_view name) const {
  return std::any_of(tokens_.begin() + static_cast<std::ptrdiff_t>(begin),
                     tokens_.begin() + static_cast<std::ptrdiff_t>(at_), [&](const Token& token) {
                       return token.kind == TokenKind::kName && token.text == name;
                     });
}

Status ExprParser::ExpectOperator(std::string_view text) {
  if (AcceptOperator(text)) return absl::OkStatus();
  return Unexpected(StrCat("\"", text, "\""));
}

StatusOr<std::string> ExprParser::ExpectName() {
  if (Peek().kind != TokenKind::kName) return Unexpected("a name");
  return Next().text;
}

Status ExprParser::Unexpected(std::string_view expected) const {
  const Token& token = Peek();
  const bool has_text = token.kind == TokenKind::kName || token.kind == TokenKind::kOperator ||
                        token.kind == TokenKind::kInteger || token.kind == TokenKind::kFloat ||
                        token.kind == TokenKind::kString;
  return TemplateError(token.line, StrCat("unexpected ", has_text ? StrCat("\"", token.text, "\"") : "end",
                                          " where ", expected, " is expected"));
}

ExprPtr ExprParser::Make(Kind kind, std::string name) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->line = Peek().line;
  expr->name = std::move(name);
  return expr;
}

Status ExprParser::Append(Expr* parent, ExprPtr child) const {
  if (child != nullptr) parent->depth = std::max(parent->depth, child->depth + 1);
  parent->children.push_back(std::move(child));
  return parent->depth > kMaxExpressionDepth ? TooDeep(parent->line) : absl::OkStatus();
}

StatusOr<ExprPtr> ExprParser::ParseTuple(bool with_condition) {
  ASSIGN_OR_RETURN(ExprPtr first, ParseExpression(with_condition));
  if (!IsOperator(",")) return first;
  ExprPtr tuple = Make(Kind::kTuple);
  RETURN_IF_ERROR(Append(tuple.get(), std::move(first)));
  while (AcceptOperator(",")) {
    if (IsOperator(")") || Peek().kind == TokenKind::kTagEnd || Peek().kind == TokenKind::kOutputEnd) break;
    ASSIGN_OR_RETURN(ExprPtr item, ParseExpression(with_condition));
    RETURN_IF_ERROR(Append(tuple.get(), std::move(item)));
  }
  return tuple;
}

StatusOr<ExprPtr> ExprParser::ParseExpression(bool with_condition) {
  if (nesting_ >= kMaxExpressionDepth / 4) return TooDeep(Peek().line);
  ++nesting_;
  StatusOr<ExprPtr> parsed = with_condition ? ParseConditional() : ParseOr();
  --nesting_;
  return parsed;
}

StatusOr<ExprPtr> ExprParser::ParseConditional() {
  ASSIGN_OR_RETURN(ExprPtr value, ParseOr());
  while (IsName("if")) {
    ExprPtr conditional = Make(Kind::kConditional);
    ++at_;
    RETURN_IF_ERROR(Append(conditional.get(), std::move(value)));
    ASSIGN_OR_RETURN(ExprPtr condition, ParseOr());
    RETURN_IF_ERROR(Append(conditional.get(), std::move(condition)));
    ExprPtr otherwise;
    if (AcceptName("else")) {
      ASSIGN_OR_RETURN(otherwise, ParseExpression());
    }
    RETURN_IF_ERROR(Append(conditional.get(), std::move(otherwise)));
    value = std::move(conditional);
  }
  return value;
}

StatusOr<ExprPtr> ExprParser::ParseLeftToRight(const std::vector<std::string_view>& operators, Level next) {
  ASSIGN_OR_RETURN(ExprPtr left, (this->*next)());
  while (true) {
    const auto found = std::find_if(operators.begin(), operators.end(), [this](std::string_view text) {
      return IsOperator(text) || IsName(text);
    });
    if (found == operators.end()) return left;
    ExprPtr binary = Make(Kind::kBinary, std::string(*found));
    ++at_;
    ASSIGN_OR_RETURN(ExprPtr right, (this->*next)());
    RETURN_IF_ERROR(Append(binary.get(), std::move(left)));
    RETURN_IF_ERROR(Append(binary.get(), std::move(right)));
    left = std::move(binary);
  }
}

StatusOr<ExprPtr> ExprParser::ParseOr() { return ParseLeftToRight({"or"}, &ExprParser::ParseAnd); }
StatusOr<ExprPtr> ExprParser::ParseAnd() { return ParseLeftToRight({"and"}, &ExprParser::ParseNot); }
StatusOr<ExprPtr> ExprParser::ParseSum() { return ParseLeftToRight({"+", "-"}, &ExprParser::ParseConcat); }
StatusOr<ExprPtr> ExprParser::ParseConcat() { return ParseLeftToRight({"~"}, &ExprParser::ParseProduct); }
StatusOr<ExprPtr> ExprParser::ParseProduct() {
  return ParseLeftToRight({"*", "//", "/", "%"}, &ExprParser::ParsePower);
}

StatusOr<ExprPtr> ExprParser::ParseNot() {
  if (!IsName("not")) return ParseCompare();
  if (nesting_ >= kMaxExpressionDepth / 4) return TooDeep(Peek().line);
  ExprPtr unary = Make(Kind::kUnary, "not");
  ++at_;
  ++nesting_;
  StatusOr<ExprPtr> operand = ParseNot();
  --nesting_;
  if (!operand.ok()) return operand;
  RETURN_IF_ERROR(Append(unary.get(), *std::move(operand)));
  return unary;
}

StatusOr<ExprPtr> ExprParser::ParseCompare() {
  ASSIGN_OR_RETURN(ExprPtr first, ParseSum());
  ExprPtr compare = Make(Kind::kCompare);
  RETURN_IF_ERROR(Append(compare.get(), std::move(first)));
  while (true) {
    std::string op;
    for (const std::string_view known : {"==", "!=", "<=", ">=", "<", ">"}) {
      if (op.empty() && AcceptOperator(known)) op = std::string(known);
    }
    if (op.empty() && AcceptName("in")) op = "in";
    const bool not_in = op.empty() && IsName("not") && tokens_[at_ + 1].kind == TokenKind::kName &&
                        tokens_[at_ + 1].text == "in";
    if (not_in) {
      at_ += 2;
      op = "not in";
    }
    if (op.empty()) break;
    compare->operators.push_back(op);
    ASSIGN_OR_RETURN(ExprPtr next, ParseSum());
    RETURN_IF_ERROR(Append(compare.get(), std::move(next)));
  }
  if (compare->operators.empty()) return std::move(compare->children[0]);
  return compare;
}

StatusOr<ExprPtr> ExprParser::ParsePower() { return ParseLeftToRight({"**"}, &ExprParser::ParseUnary); }

StatusOr<ExprPtr> ExprParser::ParseUnary() { return ParseUnaryOperand(/*with_filters=*/true); }

StatusOr<ExprPtr> ExprParser::ParseUnaryOperand(bool with_filters) {
  ExprPtr operand;
  if (IsOperator("-") || IsOperator("+")) {
    if (nesting_ >= kMaxExpressionDepth / 4) return TooDeep(Peek().line);
    operand = Make(Kind::kUnary, Peek().text);
    ++at_;
    ++nesting_;
    StatusOr<ExprPtr> inner = ParseUnaryOperand(/*with_filters=*/false);
    --nesting_;
    if (!inner.ok()) return inner;
    RETURN_IF_ERROR(Append(operand.get(), *std::move(inner)));
  } else {
    ASSIGN_OR_RETURN(operand, ParsePrimary());
  }
  ASSIGN_OR_RETURN(operand, ParsePostfix(std::move(operand)));
  if (!with_filters) return operand;
  return ParseFilters(std::move(operand));
}

StatusOr<ExprPtr> ExprParser::ParsePrimary() {
  if (IsOperator("[")) return ParseList();
  if (IsOperator("{")) return ParseDict();
  if (!IsOperator("(")) return ParseNameOrLiteral();
  ++at_;
  if (AcceptOperator(")")) return Make(Kind::kTuple);
  ASSIGN_OR_RETURN(ExprPtr inner, ParseTuple(/*with_condition=*/true));
  RETURN_IF_ERROR(ExpectOperator(")"));
  return inner;
}

StatusOr<ExprPtr> ExprParser::ParseNameOrLiteral() {
  const Token& token = Peek();
  ExprPtr expr = Make(Kind::kLiteral);
  if (token.kind == TokenKind::kInteger) {
    expr->value = Value::Int(token.integer);
    ++at_;
    return expr;
  }
  if (token.kind == TokenKind::kFloat) {
    expr->value = Value::Float(token.number);
    ++at_;
    return expr;
  }
  if (token.kind == TokenKind::kString) {
    // Strings that follow each other are one, as in Python.
    std::string text;
    while (Peek().kind == TokenKind::kString) text += Next().text;
    expr->value = Value::String(std::move(text));
    return expr;
  }
  if (token.kind != TokenKind::kName || IsReserved(token.text)) return Unexpected("an expression");
  const std::string name = Next().text;
  if (name == "true" || name == "True") {
    expr->value = Value::Bool(true);
  } else if (name == "false" || name == "False") {
    expr->value = Value::Bool(false);
  } else if (name == "none" || name == "None") {
    expr->value = Value::None();
  } else {
    expr->kind = Kind::kName;
    expr->name = name;
  }
  return expr;
}

StatusOr<ExprPtr> ExprParser::ParseList() {
  ExprPtr list = Make(Kind::kList);
  RETURN_IF_ERROR(ExpectOperator("["));
  while (!AcceptOperator("]")) {
    if (!list->children.empty()) {
      RETURN_IF_ERROR(ExpectOperator(","));
      if (AcceptOperator("]")) break;
    }
    ASSIGN_OR_RETURN(ExprPtr item, ParseExpression());
    RETURN_IF_ERROR(Append(list.get(), std::move(item)));
  }
  return list;
}

StatusOr<ExprPtr> ExprParser::ParseDict() {
  ExprPtr dict = Make(Kind::kDict);
  RETURN_IF_ERROR(ExpectOperator("{"));
  while (!AcceptOperator("}")) {
    if (!dict->children.empty()) {
      RETURN_IF_ERROR(ExpectOperator(","));
      if (AcceptOperator("}")) break;
    }
    ASSIGN_OR_RETURN(ExprPtr key, ParseExpression());
    RETURN_IF_ERROR(ExpectOperator(":"));
    ASSIGN_OR_RETURN(ExprPtr value, ParseExpression());
    RETURN_IF_ERROR(Append(dict.get(), std::move(key)));
    RETURN_IF_ERROR(Append(dict.get(), std::move(value)));
  }
  return dict;
}

StatusOr<ExprPtr> ExprParser::ParsePostfix(ExprPtr operand) {
  while (true) {
    if (AcceptOperator(".")) {
      ASSIGN_OR_RETURN(operand, ParseAttribute(std::move(operand)));
    } else if (IsOperator("[")) {
      ASSIGN_OR_RETURN(operand, ParseSubscript(std::move(operand)));
    } else if (IsOperator("(")) {
      ExprPtr call = Make(Kind::kCall);
      RETURN_IF_ERROR(Append(call.get(), std::move(operand)));
      RETURN_IF_ERROR(ParseArguments(call.get()));
      operand = std::move(call);
    } else {
      return operand;
    }
  }
}

StatusOr<ExprPtr> ExprParser::ParseAttribute(ExprPtr operand) {
  if (Peek().kind == TokenKind::kInteger) {  // list.0 is list[0].
    ExprPtr subscript = Make(Kind::kIndex);
    RETURN_IF_ERROR(Append(subscript.get(), std::move(operand)));
    ASSIGN_OR_RETURN(ExprPtr index, ParseNameOrLiteral());
    RETURN_IF_ERROR(Append(subscript.get(), std::move(index)));
    return subscript;
  }
  if (Peek().kind != TokenKind::kName) return Unexpected("a name after \".\"");
  ExprPtr attribute = Make(Kind::kAttribute, Peek().text);
  ++at_;
  RETURN_IF_ERROR(Append(attribute.get(), std::move(operand)));
  return attribute;
}

StatusOr<ExprPtr> ExprParser::ParseSubscript(ExprPtr operand) {
  ExprPtr subscript = Make(Kind::kIndex);
  RETURN_IF_ERROR(ExpectOperator("["));
  RETURN_IF_ERROR(Append(subscript.get(), std::move(operand)));
  for (int part = 0;; ++part) {
    ExprPtr bound;
    if (!IsOperator(":") && !IsOperator("]")) {
      ASSIGN_OR_RETURN(bound, ParseExpression());
    }
    RETURN_IF_ERROR(Append(subscript.get(), std::move(bound)));
    if (part == 2 || !AcceptOperator(":")) break;
    subscript->kind = Kind::kSlice;
  }
  if (subscript->kind == Kind::kIndex && subscript->children[1] == nullptr) return Unexpected("an index");
  RETURN_IF_ERROR(ExpectOperator("]"));
  if (subscript->kind == Kind::kSlice) subscript->children.resize(4);
  return subscript;
}

Status ExprParser::ParseArguments(Expr* call) {
  RETURN_IF_ERROR(ExpectOperator("("));
  bool first = true;
  while (!AcceptOperator(")")) {
    if (!first) {
      RETURN_IF_ERROR(ExpectOperator(","));
      if (AcceptOperator(")")) break;
    }
    first = false;
    if (IsOperator("*") || IsOperator("**"))
      return TemplateError(Peek().line, "an unpacked argument is not supported");
    const bool is_named = Peek().kind == TokenKind::kName && tokens_[at_ + 1].kind == TokenKind::kOperator &&
                          tokens_[at_ + 1].text == "=";
    const std::string name = is_named ? Peek().text : "";
    if (is_named) at_ += 2;
    ASSIGN_OR_RETURN(ExprPtr argument, ParseExpression());
    if (is_named) {
      call->depth = std::max(call->depth, argument->depth + 1);
      if (call->depth > kMaxExpressionDepth) return TooDeep(call->line);
      call->named.emplace_back(name, std::move(argument));
    } else {
      RETURN_IF_ERROR(Append(call, std::move(argument)));
    }
  }
  return absl::OkStatus();
}

StatusOr<ExprPtr> ExprParser::ParseFilters(ExprPtr operand) {
  while (true) {
    if (IsOperator("|")) {
      ASSIGN_OR_RETURN(operand, ParseFilter(std::move(operand)));
    } else if (IsName("is")) {
      ASSIGN_OR_RETURN(operand, ParseTest(std::move(operand)));
    } else if (IsOperator("(")) {
      ASSIGN_OR_RETURN(operand, ParsePostfix(std::move(operand)));
    } else {
      return operand;
    }
  }
}

StatusOr<ExprPtr> ExprParser::ParseFilter(ExprPtr operand) {
  ExprPtr filter = Make(Kind::kFilter);
  RETURN_IF_ERROR(ExpectOperator("|"));
  ASSIGN_OR_RETURN(filter->name, ExpectName());
  RETURN_IF_ERROR(Append(filter.get(), std::move(operand)));
  if (IsOperator("(")) RETURN_IF_ERROR(ParseArguments(filter.get()));
  return filter;
}

StatusOr<ExprPtr> ExprParser::ParseFilterChain(ExprPtr operand, bool first_without_bar) {
  if (first_without_bar) {
    ExprPtr filter = Make(Kind::kFilter);
    ASSIGN_OR_RETURN(filter->name, ExpectName());
    RETURN_IF_ERROR(Append(filter.get(), std::move(operand)));
    if (IsOperator("(")) RETURN_IF_ERROR(ParseArguments(filter.get()));
    operand = std::move(filter);
  }
  while (IsOperator("|")) {
    ASSIGN_OR_RETURN(operand, ParseFilter(std::move(operand)));
  }
  return operand;
}

StatusOr<ExprPtr> ExprParser::ParseTest(ExprPtr operand) {
  ExprPtr test = Make(Kind::kTest);
  ++at_;  // "is"
  test->negated = AcceptName("not");
  ASSIGN_OR_RETURN(test->name, ExpectName());
  RETURN_IF_ERROR(Append(test.get(), std::move(operand)));
  if (IsOperator("(")) {
    RETURN_IF_ERROR(ParseArguments(test.get()));
    return test;
  }
  const bool is_operand = (Peek().kind == TokenKind::kName && !IsReserved(Peek().text)) ||
                          Peek().kind == TokenKind::kString || Peek().kind == TokenKind::kInteger ||
                          Peek().kind == TokenKind::kFloat || IsOperator("[") || IsOperator("{");
  if (is_operand) {
    ASSIGN_OR_RETURN(ExprPtr argument, ParsePrimary());
    ASSIGN_OR_RETURN(argument, ParsePostfix(std::move(argument)));
    RETURN_IF_ERROR(Append(test.get(), std::move(argument)));
  }
  return test;
}

}  // namespace ft::data::jinja
