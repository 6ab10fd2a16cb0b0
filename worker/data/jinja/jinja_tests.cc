#include "worker/data/jinja/jinja_tests.h"

#include <cmath>
#include <unordered_map>

#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_print.h"
#include "worker/data/jinja/jinja_text.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;
using Check = bool (*)(const Value&);

bool IsSequence(const Value& value) {
  if (value.is(Kind::kList)) {
    return value.sequence() == Sequence::kList || value.sequence() == Sequence::kTuple ||
           value.sequence() == Sequence::kRange;
  }
  return value.is(Kind::kString) || value.is(Kind::kDict) || value.is(Kind::kUndefined);
}

bool IsIterable(const Value& value) {
  return value.is(Kind::kString) || value.is(Kind::kList) || value.is(Kind::kDict) ||
         value.is(Kind::kUndefined) || value.is(Kind::kLoop);
}

// Tests that need the value alone.
const std::unordered_map<std::string_view, Check>& Checks() {
  static const std::unordered_map<std::string_view, Check> checks = {
      {"defined", [](const Value& v) { return !v.is(Kind::kUndefined); }},
      {"undefined", [](const Value& v) { return v.is(Kind::kUndefined); }},
      {"none", [](const Value& v) { return v.is(Kind::kNone); }},
      {"boolean", [](const Value& v) { return v.is(Kind::kBool); }},
      {"true", [](const Value& v) { return v.is(Kind::kBool) && v.bool_value(); }},
      {"false", [](const Value& v) { return v.is(Kind::kBool) && !v.bool_value(); }},
      {"integer", [](const Value& v) { return v.is(Kind::kInt); }},
      {"float", [](const Value& v) { return v.is(Kind::kFloat); }},
      {"number", [](const Value& v) { return v.is_number(); }},
      {"string", [](const Value& v) { return v.is(Kind::kString); }},
      {"escaped", [](const Value& v) { return v.is_markup(); }},
      {"mapping", [](const Value& v) { return v.is(Kind::kDict); }},
      {"sequence", IsSequence},
      {"iterable", IsIterable},
      {"callable",
       [](const Value& v) { return v.is(Kind::kCallable) || v.is(Kind::kUndefined) || v.is(Kind::kLoop); }}};
  return checks;
}

const std::unordered_map<std::string_view, std::string_view>& Comparisons() {
  static const std::unordered_map<std::string_view, std::string_view> comparisons = {
      {"eq", "=="},      {"equalto", "=="}, {"==", "=="}, {"ne", "!="},         {"!=", "!="}, {"lt", "<"},
      {"lessthan", "<"}, {"<", "<"},        {"gt", ">"},  {"greaterthan", ">"}, {">", ">"},   {"le", "<="},
      {"<=", "<="},      {"ge", ">="},      {">=", ">="}, {"in", "in"}};
  return comparisons;
}

StatusOr<bool> IsDivisible(std::string_view name, const Value& value, const Arguments& arguments,
                           Budget& budget) {
  const Value two = Value::Int(2);
  const Value* by = name == "divisibleby" ? arguments.Get(0, "num") : &two;
  if (by == nullptr) return absl::InvalidArgumentError("the test divisibleby lacks its argument");
  ASSIGN_OR_RETURN(const Value rest, Combine("%", value, *by, budget));
  if (!rest.is_number()) return WrongType(StrCat("testing for ", name, " with"), value);
  return name == "odd" ? rest.number() == 1 : rest.number() == 0;
}

// Python's `is`: what is not shared is not the same, and small values are.
bool IsSame(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is(Kind::kList)) return &a.list() == &b.list();
  if (a.is(Kind::kDict)) return &a.dict() == &b.dict();
  return AreEqual(a, b);
}

}  // namespace

StatusOr<bool> ApplyTest(std::string_view name, const Value& value, const Arguments& arguments,
                         Budget& budget) {
  if (const auto check = Checks().find(name); check != Checks().end()) return check->second(value);
  if (name == "odd" || name == "even" || name == "divisibleby")
    return IsDivisible(name, value, arguments, budget);
  if (name == "lower" || name == "upper") {
    ASSIGN_OR_RETURN(const std::string text, ToText(value, budget));
    RETURN_IF_ERROR(budget.ChargeText(text.size()));
    return IsOfClass(name == "lower" ? "islower" : "isupper", text);
  }
  const auto comparison = Comparisons().find(name);
  if (comparison == Comparisons().end() && name != "sameas")
    return absl::InvalidArgumentError(StrCat("the test ", name, " is not supported"));
  if (arguments.positional.empty())
    return absl::InvalidArgumentError(StrCat("the test ", name, " lacks its argument"));
  const Value& other = arguments.positional[0];
  if (name == "sameas") return IsSame(value, other);
  return Compare(comparison->second, value, other, budget);
}

}  // namespace ft::data::jinja
