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
    ASSIGN_OR_RETURN(loop.targets, ParseTargets());
    if (!parser_.AcceptName("in")) return parser_.Unexpected("\"in\"");
    ASSIGN_OR_RETURN(loop.expr, parser_.ParseTuple(/*with_condition=*/false));
    if (parser_.AcceptName("if")) {
      ASSIGN_OR_RETURN(loop.condition, parser_.ParseExpression());
    }
    if (parser_.IsName("recursive")) return TemplateError(line, "a recursive loop is not supported");
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
    ASSIGN_OR_RETURN(statement.targets, ParseTargets());
    if (statement.targets.size() == 1 && parser_.AcceptOperator(".")) {
      statement.kind = Kind::kSetAttribute;
      ASSIGN_OR_RETURN(std::string attribute, parser_.ExpectName());
      statement.targets.push_back(std::move(attribute));
    }
    if (parser_.AcceptOperator("=")) {
      ASSIGN_OR_RETURN(statement.expr, parser_.ParseTuple(/*with_condition=*/true));
      RETURN_IF_ERROR(ExpectTagEnd());
      return statement;
    }
    if (statement.kind != Kind::kSet || statement.targets.size() != 1) return parser_.Unexpected("\"=\"");
    if (parser_.IsOperator("|")) return TemplateError(line, "a filter on a {% set %} block is not supported");
    statement.kind = Kind::kSetBlock;
    RETURN_IF_ERROR(ExpectTagEnd());
    ASSIGN_OR_RETURN(statement.body, ParseOutsideLoops("endset"));
    return statement;
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

  StatusOr<std::vector<std::string>> ParseTargets() {
    std::vector<std::string> targets;
    const bool parentheses = parser_.AcceptOperator("(");
    do {
      ASSIGN_OR_RETURN(std::string name, parser_.ExpectName());
      targets.push_back(std::move(name));
    } while (parser_.AcceptOperator(","));
    if (parentheses) RETURN_IF_ERROR(parser_.ExpectOperator(")"));
    return targets;
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
