// What a parsed Jinja template consists of.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/data/jinja/jinja_value.h"

namespace ft::data::jinja {

// An expression. What `name` and `children` hold depends on the kind.
struct Expr {
  enum class Kind {
    kLiteral,      // value
    kName,         // name
    kBlockText,    // What the block printed whose filters these are.
    kList,         // children: items
    kTuple,        // children: items
    kDict,         // children: key, value, key, value, ...
    kAttribute,    // children[0].name
    kIndex,        // children[0][children[1]]
    kSlice,        // children[0][children[1]:children[2]:children[3]], each bound may be null
    kCall,         // children[0](children[1..], named)
    kFilter,       // children[0] | name(children[1..], named)
    kTest,         // children[0] is name(children[1..]); negated = is not
    kUnary,        // name children[0]: "not", "-", "+"
    kBinary,       // children[0] name children[1]: "and", "or", "+", "-", "*", "/", "//", "%", "**", "~"
    kCompare,      // children[0] operators[0] children[1] operators[1] children[2] ...
    kConditional,  // children[0] if children[1] else children[2] (may be null)
  };
  Kind kind = Kind::kLiteral;
  int line = 1;
  int depth = 1;  // Levels of expressions below and including this one.
  bool negated = false;
  std::string name;
  Value value;
  std::vector<std::unique_ptr<Expr>> children;
  std::vector<std::pair<std::string, std::unique_ptr<Expr>>> named;
  std::vector<std::string> operators;
};

struct Statement;
using Body = std::vector<Statement>;

// What is assigned to: a name, an attribute of a namespace, or several of these.
struct Target {
  std::string name;
  std::string attribute;  // Empty = the name itself.
  std::vector<Target> parts;
};

// Of a macro, a call block, or {% with %}.
struct Parameter {
  std::string name;
  std::unique_ptr<Expr> value;  // The default; null = none.
};

struct Statement {
  enum class Kind {
    kText,         // text
    kOutput,       // expr
    kFor,          // target in expr if condition: body, else other
    kIf,           // branches; the last may have no condition
    kSet,          // target = expr
    kSetBlock,     // target = what body prints, through the filters of expr where there are any
    kFilterBlock,  // what body prints, through the filters of expr
    kWith,         // parameters as variables of body
    kMacro,        // text(parameters): body
    kCallBlock,    // expr is a call, which gets body as the macro caller(parameters)
    kGeneration,   // body, whose output is what the model is to learn
    kBreak,
    kContinue,
  };
  struct Branch;
  Kind kind = Kind::kText;
  int line = 1;
  std::string text;
  Target target;
  std::unique_ptr<Expr> expr;
  std::unique_ptr<Expr> condition;
  Body body;
  Body other;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  bool recursive = false;  // Of a loop.
  // Whether a macro's body asks for these names.
  bool takes_varargs = false;
  bool takes_kwargs = false;
  bool takes_caller = false;
};

struct Statement::Branch {
  std::unique_ptr<Expr> condition;  // null = else.
  Body body;
};

}  // namespace ft::data::jinja
