#include "worker/data/jinja/jinja_operators.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "worker/data/jinja/jinja_methods.h"
#include "worker/data/jinja/jinja_print.h"
#include "worker/data/jinja/jinja_text.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

Status Fail(std::string text) { return absl::InvalidArgumentError(std::move(text)); }

// The attributes of `loop` that are no methods.
std::optional<Value> LoopAttribute(const Loop& loop, std::string_view name) {
  const List& items = loop.items.list();
  const auto count = static_cast<int64_t>(items.size());
  const auto at = static_cast<int64_t>(loop.index);
  if (name == "index") return Value::Int(at + 1);
  if (name == "index0") return Value::Int(at);
  if (name == "first") return Value::Bool(at == 0);
  if (name == "last") return Value::Bool(at + 1 == count);
  if (name == "length") return Value::Int(count);
  if (name == "revindex") return Value::Int(count - at);
  if (name == "revindex0") return Value::Int(count - at - 1);
  if (name == "depth") return Value::Int(loop.depth);
  if (name == "depth0") return Value::Int(loop.depth - 1);
  if (name == "previtem")
    return at > 0 ? items[loop.index - 1] : Value::MakeUndefined("there is no previous item");
  if (name == "nextitem")
    return at + 1 < count ? items[loop.index + 1] : Value::MakeUndefined("there is no next item");
  return std::nullopt;
}

// Methods of dictionaries that would change them: the sandbox gives nothing for them, even where a key has that name.
bool IsUnsafe(std::string_view name) {
  return name == "clear" || name == "pop" || name == "popitem" || name == "setdefault" || name == "update";
}

// A method with its object, or an attribute that is no key.
std::optional<Value> Member(const Value& object, std::string_view name) {
  if (object.is(Kind::kNamespace)) {
    const Value* found = object.name_space()->Find(name);
    return found == nullptr ? std::nullopt : std::optional<Value>(*found);
  }
  if (object.is(Kind::kLoop)) {
    if (const std::optional<Value> attribute = LoopAttribute(*object.loop(), name)) return attribute;
  }
  if (!HasMethod(object, name)) return std::nullopt;
  return Value::FromCallable({.name = std::string(name), .object = object});
}

std::optional<Value> Element(const Value& object, int64_t index, Budget& budget, Status* failed) {
  if (object.is(Kind::kString)) {
    *failed = budget.Charge(object.weight());
    if (!failed->ok()) return std::nullopt;
  }
  const int64_t size = object.is(Kind::kString) ? CountCharacters(object.string())
                                                : static_cast<int64_t>(object.list().size());
  const int64_t at = index < 0 ? index + size : index;
  if (at < 0 || at >= size) return std::nullopt;
  if (object.is(Kind::kList)) return object.list()[static_cast<size_t>(at)];
  const std::string& text = object.string();
  const size_t begin = CharacterOffset(text, at);
  return Value::StringLike(object,
                           text.substr(begin, CharacterOffset(std::string_view(text).substr(begin), 1)));
}

bool CanBeIndexed(const Value& object) {
  if (object.is(Kind::kString)) return true;
  return object.is(Kind::kList) &&
         (object.sequence() == Sequence::kList || object.sequence() == Sequence::kTuple ||
          object.sequence() == Sequence::kRange);
}

struct SliceRange {
  int64_t first = 0, last = 0, step = 1;
};

StatusOr<SliceRange> ResolveSlice(int64_t size, const SliceBounds& bounds) {
  for (const Value* bound : {&bounds.start, &bounds.stop, &bounds.step}) {
    if (!bound->is(Kind::kNone) && !bound->is_whole()) return WrongType("slicing by", *bound);
  }
  SliceRange range{.step = bounds.step.is_whole() ? bounds.step.whole() : 1};
  if (range.step == 0) return Fail("a slice's step is zero");
  const int64_t low = range.step > 0 ? 0 : -1;
  const int64_t high = range.step > 0 ? size : size - 1;
  const auto place = [&](const Value& value, int64_t otherwise) {
    if (value.is(Kind::kNone)) return otherwise;
    const int64_t given = value.whole();
    return std::clamp(given < 0 ? (given < -size ? low : given + size) : given, low, high);
  };
  range.first = place(bounds.start, range.step > 0 ? low : high);
  range.last = place(bounds.stop, range.step > 0 ? high : low);
  return range;
}

template <typename Take>
void ForEachPlace(const SliceRange& range, const Take& take) {
  for (int64_t at = range.first; range.step > 0 ? at < range.last : at > range.last;) {
    take(static_cast<size_t>(at));
    // Compared before adding, since a huge step would overflow.
    if (range.step > 0 ? range.step >= range.last - at : range.step <= range.last - at) break;
    at += range.step;
  }
}

Value SliceText(const Value& object, const SliceRange& range) {
  const std::string& text = object.string();
  if (range.step == 1) {
    if (range.first >= range.last) return Value::StringLike(object, "");
    const size_t begin = CharacterOffset(text, range.first);
    const size_t size = CharacterOffset(std::string_view(text).substr(begin), range.last - range.first);
    return Value::StringLike(object, text.substr(begin, size));
  }
  const std::vector<size_t> starts = CharacterStarts(text);
  std::string out;
  ForEachPlace(range, [&](size_t at) { out.append(text, starts[at], starts[at + 1] - starts[at]); });
  return Value::StringLike(object, std::move(out));
}

StatusOr<Value> DivideWhole(std::string_view op, int64_t a, int64_t b) {
  if (b == 0) return Fail("division by zero");
  if (b == -1) {
    if (op == "%") return Value::Int(0);
    if (a == std::numeric_limits<int64_t>::min()) return Fail("an integer grows beyond 64 bits");
    return Value::Int(-a);
  }
  // As in Python, the quotient is rounded down and the rest has the divisor's sign.
  const bool round_down = a % b != 0 && (a < 0) != (b < 0);
  return Value::Int(op == "//" ? a / b - (round_down ? 1 : 0) : a % b + (round_down ? b : 0));
}

StatusOr<Value> PowerOfWhole(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return Fail("zero cannot be raised to a negative power");
    return Value::Float(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result))
      return Fail("an integer grows beyond 64 bits");
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base))
      return Fail("an integer grows beyond 64 bits");
  }
  return Value::Int(result);
}

StatusOr<Value> CombineWhole(std::string_view op, int64_t a, int64_t b) {
  if (op == "//" || op == "%") return DivideWhole(op, a, b);
  if (op == "**") return PowerOfWhole(a, b);
  if (op == "/") {
    if (b == 0) return Fail("division by zero");
    return Value::Float(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
  }
  int64_t result = 0;
  const bool overflow = op == "+"   ? __builtin_add_overflow(a, b, &result)
                        : op == "-" ? __builtin_sub_overflow(a, b, &result)
                                    : __builtin_mul_overflow(a, b, &result);
  if (overflow) return Fail("an integer grows beyond 64 bits");
  return Value::Int(result);
}

StatusOr<Value> CombineFloats(std::string_view op, double a, double b) {
  if (op == "+") return Value::Float(a + b);
  if (op == "-") return Value::Float(a - b);
  if (op == "*") return Value::Float(a * b);
  if (op == "**") {
    if (a < 0 && b != std::floor(b)) return Fail("a negative number raised to a fraction is not supported");
    if (a == 0 && b < 0) return Fail("zero cannot be raised to a negative power");
    return Value::Float(std::pow(a, b));
  }
  if (b == 0) return Fail("division by zero");
  if (op == "/") return Value::Float(a / b);
  // As in CPython: the rest has the divisor's sign, and the quotient goes with it.
  double rest = std::fmod(a, b);
  double quotient = (a - rest) / b;
  if (rest != 0 && (b < 0) != (rest < 0)) {
    rest += b;
    quotient -= 1;
  }
  if (rest == 0) rest = std::copysign(0.0, b);
  if (op == "%") return Value::Float(rest);
  if (quotient == 0) return Value::Float(std::copysign(0.0, a / b));
  const double floor = std::floor(quotient);
  return Value::Float(quotient - floor > 0.5 ? floor + 1 : floor);
}

StatusOr<Value> Repeat(const Value& what, int64_t times, Budget& budget) {
  const auto count = static_cast<uint64_t>(std::max<int64_t>(times, 0));
  const uint64_t size = what.is(Kind::kString) ? what.string().size() : what.list().size() * sizeof(Value);
  if (count > 0 && size > std::numeric_limits<uint64_t>::max() / 4 / count)
    return budget.CheckText(std::numeric_limits<size_t>::max());
  RETURN_IF_ERROR(budget.ChargeText(size * count));
  if (what.is(Kind::kString)) {
    std::string text;
    text.reserve(size * count);
    for (uint64_t i = 0; i < count && size > 0; ++i) text += what.string();
    return Value::StringLike(what, std::move(text));
  }
  List items;
  for (uint64_t i = 0; i < count && size > 0; ++i)
    items.insert(items.end(), what.list().begin(), what.list().end());
  return Value::FromList(std::move(items), what.sequence());
}

StatusOr<Value> Concatenate(const Value& left, const Value& right, Budget& budget) {
  if (left.is_markup() != right.is_markup()) {
    const std::string text = left.is_markup() ? left.string() + EscapeHtml(right.string())
                                              : EscapeHtml(left.string()) + right.string();
    RETURN_IF_ERROR(budget.ChargeText(text.size()));
    return Value::Markup(text);
  }
  RETURN_IF_ERROR(budget.ChargeText(left.string().size() + right.string().size()));
  return Value::StringLike(left, left.string() + right.string());
}

bool IsSequenceOf(const Value& value, Sequence sequence) { return value.is_list(sequence); }

StatusOr<Value> Join(const Value& left, const Value& right, Budget& budget) {
  ASSIGN_OR_RETURN(std::string text, ToText(left, budget));
  ASSIGN_OR_RETURN(const std::string more, ToText(right, budget));
  RETURN_IF_ERROR(budget.ChargeText(text.size() + more.size()));
  text += more;
  return Value::String(std::move(text));
}

StatusOr<bool> Contains(const Value& container, const Value& item, Budget& budget) {
  switch (container.kind()) {
    case Kind::kUndefined: return false;
    case Kind::kString:
      if (!item.is(Kind::kString)) return WrongType("looking in a string for", item);
      RETURN_IF_ERROR(budget.Charge(container.weight()));
      return container.string().find(item.string()) != std::string::npos;
    case Kind::kDict:
      RETURN_IF_ERROR(budget.Charge(1 + container.dict().entries.size() / 8));
      if (item.is(Kind::kList) || item.is(Kind::kDict)) return WrongType("looking among keys for", item);
      return item.is(Kind::kString) && container.dict().Find(item.string()) != nullptr;
    case Kind::kList:
      for (const Value& member : container.Take()) {
        RETURN_IF_ERROR(budget.Charge(std::min(member.weight(), item.weight())));
        if (AreEqual(member, item)) return true;
      }
      return false;
    default: return WrongType("looking into", container);
  }
}

int Sign(bool less, bool greater) { return less ? -1 : greater ? 1 : 0; }

}  // namespace

Status WrongType(std::string_view what, const Value& value) {
  if (value.is(Kind::kUndefined))
    return Fail(StrCat(what, " \"", value.undefined_name(), "\", which is undefined"));
  return Fail(StrCat(what, " ", value.kind_name(), " is not supported"));
}

StatusOr<Value> GetAttribute(const Value& object, std::string_view name) {
  if (object.is(Kind::kUndefined)) return WrongType(StrCat("asking for ", name, " of"), object);
  if (std::optional<Value> member = Member(object, name)) return *std::move(member);
  const Value* key = object.is(Kind::kDict) && !IsUnsafe(name) ? object.dict().Find(name) : nullptr;
  return key != nullptr ? *key : Value::MakeUndefined(std::string(name));
}

StatusOr<Value> GetItem(const Value& object, const Value& index, Budget& budget) {
  if (object.is(Kind::kUndefined)) return WrongType("indexing", object);
  if (index.is(Kind::kString)) {
    const Value* key = object.is(Kind::kDict) ? object.dict().Find(index.string()) : nullptr;
    if (key != nullptr) return *key;
    if (std::optional<Value> member = Member(object, index.string())) return *std::move(member);
    return Value::MakeUndefined(index.string());
  }
  if (!index.is_whole() || !CanBeIndexed(object)) return Value::MakeUndefined("an element");
  Status failed = absl::OkStatus();
  std::optional<Value> element = Element(object, index.whole(), budget, &failed);
  if (!failed.ok()) return failed;
  return element ? *std::move(element) : Value::MakeUndefined(StrCat("element ", index.whole()));
}

StatusOr<Value> GetSlice(const Value& object, const SliceBounds& bounds, Budget& budget) {
  if (!CanBeIndexed(object)) return WrongType("slicing", object);
  ASSIGN_OR_RETURN(const int64_t size, Length(object, budget));
  ASSIGN_OR_RETURN(const SliceRange range, ResolveSlice(size, bounds));
  if (object.is(Kind::kString)) return SliceText(object, range);
  List items;
  ForEachPlace(range, [&](size_t at) { items.push_back(object.list()[at]); });
  RETURN_IF_ERROR(budget.Charge(1 + items.size() / 4));
  return Value::FromList(std::move(items), object.sequence());
}

StatusOr<Value> Combine(std::string_view op, const Value& left, const Value& right, Budget& budget) {
  if (op == "~") return Join(left, right, budget);
  if (left.is_whole() && right.is_whole()) return CombineWhole(op, left.whole(), right.whole());
  if (left.is_number() && right.is_number()) return CombineFloats(op, left.number(), right.number());
  for (const Value* operand : {&left, &right}) {
    if (operand->is(Kind::kUndefined)) return WrongType(StrCat("\"", op, "\" with"), *operand);
  }
  if (op == "+" && left.is(Kind::kString) && right.is(Kind::kString)) return Concatenate(left, right, budget);
  for (const Sequence sequence : {Sequence::kList, Sequence::kTuple}) {
    if (op != "+" || !IsSequenceOf(left, sequence) || !IsSequenceOf(right, sequence)) continue;
    RETURN_IF_ERROR(budget.ChargeText((left.list().size() + right.list().size()) * sizeof(Value)));
    List items = left.list();
    items.insert(items.end(), right.list().begin(), right.list().end());
    return Value::FromList(std::move(items), sequence);
  }
  const auto repeats = [](const Value& what, const Value& times) {
    return times.is_whole() && (what.is(Kind::kString) || IsSequenceOf(what, Sequence::kList) ||
                                IsSequenceOf(what, Sequence::kTuple));
  };
  if (op == "*" && repeats(left, right)) return Repeat(left, right.whole(), budget);
  if (op == "*" && repeats(right, left)) return Repeat(right, left.whole(), budget);
  return Fail(
      StrCat("\"", op, "\" between ", left.kind_name(), " and ", right.kind_name(), " is not supported"));
}

StatusOr<Value> Signed(std::string_view op, const Value& operand) {
  if (!operand.is_number()) {
    if (operand.is(Kind::kUndefined)) return WrongType(StrCat("\"", op, "\" before"), operand);
    return Fail(StrCat("\"", op, "\" before ", operand.kind_name(), " is not supported"));
  }
  if (operand.is(Kind::kFloat)) return op == "-" ? Value::Float(-operand.float_value()) : operand;
  if (op == "+") return Value::Int(operand.whole());
  return CombineWhole("-", 0, operand.whole());
}

StatusOr<int> Order(const Value& left, const Value& right, Budget& budget) {
  if (left.is_whole() && right.is_whole())
    return Sign(left.whole() < right.whole(), left.whole() > right.whole());
  if (left.is_number() && right.is_number()) {
    const auto exact = [](const Value& value) {
      return value.is_whole() ? static_cast<long double>(value.whole())
                              : static_cast<long double>(value.float_value());
    };
    return Sign(exact(left) < exact(right), exact(left) > exact(right));
  }
  RETURN_IF_ERROR(budget.Charge(std::min(left.weight(), right.weight())));
  if (left.is(Kind::kString) && right.is(Kind::kString)) {
    // UTF-8 sorts by code point, as Python's strings do.
    const int order = left.string().compare(right.string());
    return Sign(order<0, order> 0);
  }
  for (const Sequence sequence : {Sequence::kList, Sequence::kTuple}) {
    if (!IsSequenceOf(left, sequence) || !IsSequenceOf(right, sequence)) continue;
    const size_t both = std::min(left.list().size(), right.list().size());
    for (size_t i = 0; i < both; ++i) {
      if (AreEqual(left.list()[i], right.list()[i])) continue;
      return Order(left.list()[i], right.list()[i], budget);
    }
    return Sign(left.list().size() < right.list().size(), left.list().size() > right.list().size());
  }
  for (const Value* operand : {&left, &right}) {
    if (operand->is(Kind::kUndefined)) return WrongType("ordering", *operand);
  }
  return Fail(StrCat("ordering ", left.kind_name(), " and ", right.kind_name(), " is not supported"));
}

StatusOr<bool> Compare(std::string_view op, const Value& left, const Value& right, Budget& budget) {
  if (op == "==" || op == "!=") {
    RETURN_IF_ERROR(budget.Charge(std::min(left.weight(), right.weight())));
    return AreEqual(left, right) == (op == "==");
  }
  if (op == "in" || op == "not in") {
    ASSIGN_OR_RETURN(const bool contains, Contains(right, left, budget));
    return contains == (op == "in");
  }
  const bool any_nan = (left.is(Kind::kFloat) && std::isnan(left.float_value())) ||
                       (right.is(Kind::kFloat) && std::isnan(right.float_value()));
  ASSIGN_OR_RETURN(const int order, Order(left, right, budget));
  if (any_nan) return false;
  if (op == "<") return order < 0;
  if (op == ">") return order > 0;
  return op == "<=" ? order <= 0 : order >= 0;
}

StatusOr<int64_t> Length(const Value& value, Budget& budget) {
  switch (value.kind()) {
    case Kind::kUndefined: return 0;
    case Kind::kString:
      RETURN_IF_ERROR(budget.Charge(value.weight()));
      return CountCharacters(value.string());
    case Kind::kDict: return static_cast<int64_t>(value.dict().entries.size());
    case Kind::kLoop: return static_cast<int64_t>(value.loop()->items.list().size());
    case Kind::kList:
      if (value.sequence() != Sequence::kGenerator) return static_cast<int64_t>(value.list().size());
      [[fallthrough]];
    default: return WrongType("taking the length of", value);
  }
}

StatusOr<List> Items(const Value& value, Budget& budget) {
  List items;
  switch (value.kind()) {
    case Kind::kUndefined: return items;
    case Kind::kList: items = value.Take(); break;
    case Kind::kDict:
      for (const auto& entry : value.dict().entries) items.push_back(Value::String(entry.first));
      break;
    case Kind::kString: {
      const std::string& text = value.string();
      RETURN_IF_ERROR(
          budget.ChargeText(text.size() * (sizeof(Value) + 64)));  // Each character takes that much.
      const std::vector<size_t> starts = CharacterStarts(text);
      for (size_t i = 0; i + 1 < starts.size(); ++i) {
        items.push_back(Value::String(text.substr(starts[i], starts[i + 1] - starts[i])));
      }
      return items;
    }
    default: return WrongType("looping over", value);
  }
  RETURN_IF_ERROR(budget.Charge(1 + items.size() / 4));
  return items;
}

}  // namespace ft::data::jinja
