#include "worker/data/jinja/jinja_parser.h"

#include <algorithm>
#include <utility>

#include "worker/data/jinja/jinja_expr_parser.h"

namespace ft::data::jinja {
namespace {

using Kind = Statement::Kind;
using TokenKind = Token::Kind;

class TemplateParser {
 public:
  explicit TemplateParser(std::vector<Token> tokens) : parser_(std::move(tokens)) {}

  // Statements up to a tag in `ends`, whose name is left in *end and whose tag is still open; without `ends`
  // up to the template's end.
  StatusOr<Body> ParseBody(const std::vector<std::string_view>& ends, std::string* end) {
    if (++depth_ > kMaxBlockDepth) {
      return TemplateError(parser_.Peek().line, StrCat("blocks nest deeper than ", kMaxBlockDepth));
    }
    Body body;
    while (true) {
      const Token token = parser_.Next();
      if (token.kind == TokenKind::kEnd) {
        if (!ends.empty()) return TemplateError(token.line, StrCat("{% ", ends.back(), " %} is missing"));
        break;
      }
      if (token.kind == TokenKind::kText) {
        body.push_back(MakeStatement(Kind::kText, token.line));
        body.back().text = token.text;
      } else if (token.kind == TokenKind::kOutputBegin) {
        body.push_back(MakeStatement(Kind::kOutput, token.line));
        ASSIGN_OR_RETURN(body.back().expr, parser_.ParseTuple(/*with_condition=*/true));
        RETURN_IF_ERROR(Expect(TokenKind::kOutputEnd, "\"}}\""));
      } else {
        ASSIGN_OR_RETURN(const std::string tag, parser_.ExpectName());
        if (std::find(ends.begin(), ends.end(), tag) != ends.end()) {
          *end = tag;
          break;
        }
        ASSIGN_OR_RETURN(Statement statement, ParseTag(tag, token.line));
        body.push_back(std::move(statement));
      }
    }
    --depth_;
    return body;
  }

 private:
  static Statement MakeStatement(Kind kind, int line) {
    Statement statement;
    statement.kind = kind;
    statement.line = line;
    return statement;
  }

  Status Expect(TokenKind kind, std::string_view text) {
    if (parser_.Peek().kind != kind) return parser_.Unexpected(text);
    parser_.Next();
    return absl::OkStatus();
  }
  Status ExpectTagEnd() { return Expect(TokenKind::kTagEnd, "\"%}\""); }

  StatusOr<Statement> ParseTag(std::string_view tag, int line) {
    if (tag == "for") return ParseFor(line);
    if (tag == "if") return ParseIf(line);
    if (tag == "set") return ParseSet(line);
    if (tag == "macro") return ParseMacro(line);
    if (tag == "call") return ParseCall(line);
    if (tag == "filter") return ParseFilterBlock(line);
    if (tag == "with") return ParseWith(line);
    if (tag == "generation") return ParseGeneration(line);
    if (tag == "break" || tag == "continue") {
      if (loops_ == 0) return TemplateError(line, StrCat("{% ", tag, " %} outside a loop"));
      RETURN_IF_ERROR(ExpectTagEnd());
      return MakeStatement(tag == "break" ? Kind::kBreak : Kind::kContinue, line);
    }
    return TemplateError(line, StrCat("{% ", tag, " %} is not supported in chat templates"));
  }

  StatusOr<Statement> ParseFor(int line) {
    Statement loop = MakeStatement(Kind::kFor, line);
    ASSIGN_OR_RETURN(loop.target, ParseTarget(/*with_attributes=*/false));
    if (!parser_.AcceptName("in")) return parser_.Unexpected("\"in\"");
    ASSIGN_OR_RETURN(loop.expr, parser_.ParseTuple(/*with_condition=*/false));
    if (parser_.AcceptName("if")) {
      ASSIGN_OR_RETURN(loop.condition, parser_.ParseExpression());
    }
    loop.recursive = parser_.AcceptName("recursive");
    RETURN_IF_ERROR(ExpectTagEnd());
    std::string end;
    ++loops_;
    ASSIGN_OR_RETURN(loop.body, ParseBody({"else", "endfor"}, &end));
    --loops_;
    RETURN_IF_ERROR(ExpectTagEnd());
    if (end == "else") {
      ASSIGN_OR_RETURN(loop.other, ParseBody({"endfor"}, &end));
      RETURN_IF_ERROR(ExpectTagEnd());
    }
    return loop;
  }

  StatusOr<Statement> ParseIf(int line) {
    Statement statement = MakeStatement(Kind::kIf, line);
    std::string end = "if";
    while (end != "endif") {
      Statement::Branch branch;
      const bool is_else = end == "else";
      if (!is_else) {
        ASSIGN_OR_RETURN(branch.condition, parser_.ParseTuple(/*with_condition=*/true));
      }
      RETURN_IF_ERROR(ExpectTagEnd());
      std::vector<std::string_view> ends = {"elif", "else", "endif"};
      if (is_else) ends = {"endif"};
      ASSIGN_OR_RETURN(branch.body, ParseBody(ends, &end));
      statement.branches.push_back(std::move(branch));
    }
    RETURN_IF_ERROR(ExpectTagEnd());
    return statement;
  }

  StatusOr<Statement> ParseSet(int line) {
    Statement statement = MakeStatement(Kind::kSet, line);
    ASSIGN_OR_RETURN(statement.target, ParseTarget(/*with_attributes=*/true));
    if (parser_.AcceptOperator("=")) {
      ASSIGN_OR_RETURN(statement.expr, parser_.ParseTuple(/*with_condition=*/true));
      RETURN_IF_ERROR(ExpectTagEnd());
      return statement;
    }
    if (!statement.target.parts.empty()) return parser_.Unexpected("\"=\"");
    statement.kind = Kind::kSetBlock;
    if (parser_.IsOperator("|")) {
      ASSIGN_OR_RETURN(statement.expr, ParseBlockFilters(/*first_without_bar=*/false));
    }
    RETURN_IF_ERROR(ExpectTagEnd());
    ASSIGN_OR_RETURN(statement.body, ParseOutsideLoops("endset"));
    return statement;
  }

  StatusOr<std::unique_ptr<Expr>> ParseBlockFilters(bool first_without_bar) {
    auto text = std::make_unique<Expr>();
    text->kind = Expr::Kind::kBlockText;
    text->line = parser_.Peek().line;
    return parser_.ParseFilterChain(std::move(text), first_without_bar);
  }

  StatusOr<Statement> ParseFilterBlock(int line) {
    Statement statement = MakeStatement(Kind::kFilterBlock, line);
    ASSIGN_OR_RETURN(statement.expr, ParseBlockFilters(/*first_without_bar=*/true));
    RETURN_IF_ERROR(ExpectTagEnd());
    ASSIGN_OR_RETURN(statement.body, ParseOutsideLoops("endfilter"));
    return statement;
  }

  StatusOr<Statement> ParseMacro(int line) {
    Statement macro = MakeStatement(Kind::kMacro, line);
    ASSIGN_OR_RETURN(macro.text, parser_.ExpectName());
    RETURN_IF_ERROR(ParseParameters(&macro));
    RETURN_IF_ERROR(ExpectTagEnd());
    RETURN_IF_ERROR(ParseMacroBody("endmacro", &macro));
    return macro;
  }

  StatusOr<Statement> ParseCall(int line) {
    Statement call = MakeStatement(Kind::kCallBlock, line);
    call.text = "caller";
    if (parser_.IsOperator("(")) RETURN_IF_ERROR(ParseParameters(&call));
    ASSIGN_OR_RETURN(call.expr, parser_.ParseUnary());
    if (call.expr->kind != Expr::Kind::kCall) return parser_.Unexpected("a call");
    RETURN_IF_ERROR(ExpectTagEnd());
    RETURN_IF_ERROR(ParseMacroBody("endcall", &call));
    return call;
  }

  Status ParseMacroBody(std::string_view end_tag, Statement* macro) {
    const size_t begin = parser_.place();
    ASSIGN_OR_RETURN(macro->body, ParseOutsideLoops(end_tag));
    macro->takes_varargs = parser_.NamedSince(begin, "varargs");
    macro->takes_kwargs = parser_.NamedSince(begin, "kwargs");
    macro->takes_caller = parser_.NamedSince(begin, "caller");
    return absl::OkStatus();
  }

  // (name, name=default, ...)
  Status ParseParameters(Statement* macro) {
    RETURN_IF_ERROR(parser_.ExpectOperator("("));
    while (!parser_.AcceptOperator(")")) {
      if (!macro->parameters.empty()) {
        RETURN_IF_ERROR(parser_.ExpectOperator(","));
        if (parser_.AcceptOperator(")")) break;
      }
      Parameter parameter;
      ASSIGN_OR_RETURN(parameter.name, parser_.ExpectName());
      if (parser_.AcceptOperator("=")) {
        ASSIGN_OR_RETURN(parameter.value, parser_.ParseExpression());
      } else if (!macro->parameters.empty() && macro->parameters.back().value != nullptr) {
        return TemplateError(macro->line, "a parameter without a default stands behind one with a default");
      }
      macro->parameters.push_back(std::move(parameter));
    }
    return absl::OkStatus();
  }

  StatusOr<Statement> ParseWith(int line) {
    Statement with = MakeStatement(Kind::kWith, line);
    while (parser_.Peek().kind != TokenKind::kTagEnd) {
      if (!with.parameters.empty()) RETURN_IF_ERROR(parser_.ExpectOperator(","));
      Parameter variable;
      ASSIGN_OR_RETURN(variable.name, parser_.ExpectName());
      RETURN_IF_ERROR(parser_.ExpectOperator("="));
      ASSIGN_OR_RETURN(variable.value, parser_.ParseExpression());
      with.parameters.push_back(std::move(variable));
    }
    RETURN_IF_ERROR(ExpectTagEnd());
    std::string end;
    ASSIGN_OR_RETURN(with.body, ParseBody({"endwith"}, &end));
    RETURN_IF_ERROR(ExpectTagEnd());
    return with;
  }

  StatusOr<Statement> ParseGeneration(int line) {
    Statement statement = MakeStatement(Kind::kGeneration, line);
    RETURN_IF_ERROR(ExpectTagEnd());
    ASSIGN_OR_RETURN(statement.body, ParseOutsideLoops("endgeneration"));
    return statement;
  }

  // A block whose output is captured cannot be left by break or continue.
  StatusOr<Body> ParseOutsideLoops(std::string_view end_tag) {
    const int loops = std::exchange(loops_, 0);
    std::string end;
    ASSIGN_OR_RETURN(Body body, ParseBody({end_tag}, &end));
    loops_ = loops;
    RETURN_IF_ERROR(ExpectTagEnd());
    return body;
  }

  // One target, or several with commas between them.
  StatusOr<Target> ParseTarget(bool with_attributes) {
    ASSIGN_OR_RETURN(Target first, ParseOneTarget(with_attributes));
    if (!parser_.IsOperator(",")) return first;
    Target all;
    all.parts.push_back(std::move(first));
    while (parser_.AcceptOperator(",")) {
      if (parser_.Peek().kind != TokenKind::kName && !parser_.IsOperator("(")) break;
      ASSIGN_OR_RETURN(Target next, ParseOneTarget(with_attributes));
      all.parts.push_back(std::move(next));
    }
    return all;
  }

  StatusOr<Target> ParseOneTarget(bool with_attributes) {
    if (parser_.IsOperator("(")) {
      if (++depth_ > kMaxBlockDepth) return parser_.Unexpected("a name");
      parser_.Next();
      ASSIGN_OR_RETURN(Target inner, ParseTarget(with_attributes));
      RETURN_IF_ERROR(parser_.ExpectOperator(")"));
      --depth_;
      return inner;
    }
    Target target;
    ASSIGN_OR_RETURN(target.name, parser_.ExpectName());
    if (with_attributes && parser_.AcceptOperator(".")) {
      ASSIGN_OR_RETURN(target.attribute, parser_.ExpectName());
    }
    return target;
  }

  ExprParser parser_;
  int depth_ = 0;
  int loops_ = 0;
};

}  // namespace

StatusOr<Body> ParseTemplate(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return absl::InvalidArgumentError(
        StrCat("a template of ", source.size(), " bytes is longer than ", kMaxTemplateBytes));
  }
  ASSIGN_OR_RETURN(std::vector<Token> tokens, Tokenize(source));
  std::string end;
  return TemplateParser(std::move(tokens)).ParseBody({}, &end);
}

}  // namespace ft::data::jinja
