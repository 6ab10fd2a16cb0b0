#include "worker/data/jinja/jinja_filters.h"

#include <unicode/locid.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "worker/data/tokenizer/utf8.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

constexpr int64_t kMaxRange = 100'000;
constexpr int64_t kMaxIndent = 16;

Status Fail(std::string text) { return absl::InvalidArgumentError(std::move(text)); }

Status WrongType(std::string_view what, const Value& value) {
  if (value.is(Kind::kUndefined))
    return Fail(StrCat(what, " \"", value.undefined_name(), "\", which is undefined"));
  return Fail(StrCat(what, " ", value.kind_name(), " is not supported"));
}

bool IsNumber(const Value& value) { return value.is(Kind::kInt) || value.is(Kind::kBool); }
int64_t Number(const Value& value) {
  return value.is(Kind::kBool) ? (value.bool_value() ? 1 : 0) : value.int_value();
}

enum class LetterCase { kUpper, kLower };

StatusOr<std::string> ChangeCase(std::string_view text, LetterCase wanted) {
  icu::UnicodeString units =
      icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<int32_t>(text.size())));
  if (wanted == LetterCase::kUpper) {
    units.toUpper(icu::Locale::getRoot());
  } else {
    units.toLower(icu::Locale::getRoot());
  }
  std::string out;
  units.toUTF8String(out);
  return out;
}

StatusOr<std::string> Capitalize(std::string_view text) {
  if (text.empty()) return std::string();
  const size_t first = tokenizer::ReadUtf8(text, 0).length;
  ASSIGN_OR_RETURN(std::string head, ChangeCase(text.substr(0, first), LetterCase::kUpper));
  ASSIGN_OR_RETURN(const std::string tail, ChangeCase(text.substr(first), LetterCase::kLower));
  return head + tail;
}

StatusOr<Value> AsValue(StatusOr<std::string> text) {
  if (!text.ok()) return text.status();
  return Value::String(*std::move(text));
}

// The characters of `text` without those in `characters` at its ends; Python's white space when there are
// none given.
std::string_view Strip(std::string_view text, const Value* characters, bool left, bool right) {
  if (characters == nullptr || !characters->is(Kind::kString)) {
    if (left) text = StripLeft(text);
    return right ? StripRight(text) : text;
  }
  const std::string& set = characters->string();
  while (left && !text.empty()) {
    const size_t length = tokenizer::ReadUtf8(text, 0).length;
    if (set.find(text.substr(0, length)) == std::string::npos) break;
    text.remove_prefix(length);
  }
  while (right && !text.empty()) {
    const size_t length = tokenizer::ReadUtf8Before(text, text.size()).length;
    if (set.find(text.substr(text.size() - length)) == std::string::npos) break;
    text.remove_suffix(length);
  }
  return text;
}

StatusOr<Value> Split(std::string_view text, const Arguments& arguments) {
  const Value* separator = arguments.Get(0, "sep");
  const Value* limit = arguments.Get(1, "maxsplit");
  int64_t left =
      limit != nullptr && limit->is(Kind::kInt) && limit->int_value() >= 0 ? limit->int_value() : INT64_MAX;
  List parts;
  if (separator == nullptr || separator->is(Kind::kNone)) {
    for (text = StripLeft(text); !text.empty(); text = StripLeft(text), --left) {
      size_t end = 0;
      while (end < text.size() && (left == 0 || !IsPythonSpace(tokenizer::ReadUtf8(text, end).code))) {
        end += tokenizer::ReadUtf8(text, end).length;
      }
      parts.push_back(Value::String(std::string(text.substr(0, end))));
      text.remove_prefix(end);
    }
    return Value::FromList(std::move(parts));
  }
  if (!separator->is(Kind::kString) || separator->string().empty())
    return Fail("split needs a separator that is not empty");
  const std::string& mark = separator->string();
  for (size_t at = text.find(mark); at != std::string_view::npos && left > 0; at = text.find(mark), --left) {
    parts.push_back(Value::String(std::string(text.substr(0, at))));
    text.remove_prefix(at + mark.size());
  }
  parts.push_back(Value::String(std::string(text)));
  return Value::FromList(std::move(parts));
}

StatusOr<Value> Replace(std::string_view text, const Arguments& arguments) {
  const Value* from = arguments.Get(0, "s");
  const Value* to = arguments.Get(1, "new");
  const Value* limit = arguments.Get(2, "count");
  if (from == nullptr || to == nullptr || !from->is(Kind::kString) || !to->is(Kind::kString) ||
      from->string().empty()) {
    return Fail("replace needs two strings, the first not empty");
  }
  int64_t left =
      limit != nullptr && limit->is(Kind::kInt) && limit->int_value() >= 0 ? limit->int_value() : INT64_MAX;
  std::string out;
  for (size_t at = text.find(from->string()); at != std::string_view::npos && left > 0;
       at = text.find(from->string()), --left) {
    out.append(text.substr(0, at));
    out.append(to->string());
    text.remove_prefix(at + from->string().size());
    if (out.size() > kMaxStringBytes) return Fail("replace makes a text that is too long");
  }
  out.append(text);
  return Value::String(std::move(out));
}

StatusOr<Value> Join(const Value& items, std::string_view separator) {
  if (items.is(Kind::kUndefined)) return Value::String("");
  if (!items.is(Kind::kList)) return WrongType("joining", items);
  std::string out;
  for (size_t i = 0; i < items.list().size(); ++i) {
    if (i > 0) out.append(separator);
    ASSIGN_OR_RETURN(const std::string text, ToText(items.list()[i]));
    out.append(text);
    if (out.size() > kMaxStringBytes) return Fail("join makes a text that is too long");
  }
  return Value::String(std::move(out));
}

StatusOr<int64_t> Length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined: return 0;
    case Kind::kString: return static_cast<int64_t>(CharacterStarts(value.string()).size()) - 1;
    case Kind::kList: return static_cast<int64_t>(value.list().size());
    case Kind::kDict: return static_cast<int64_t>(value.dict().entries.size());
    default: return WrongType("taking the length of", value);
  }
}

StatusOr<Value> Pairs(const Value& dict) {
  List items;
  for (const auto& [key, value] : dict.dict().entries) {
    ASSIGN_OR_RETURN(Value pair, Value::FromList({Value::String(key), value}));
    items.push_back(std::move(pair));
  }
  return Value::FromList(std::move(items));
}

// Positions of a Python slice over `size` elements.
StatusOr<std::vector<size_t>> SlicePositions(int64_t size, const Value& start, const Value& stop,
                                             const Value& step) {
  for (const Value* bound : {&start, &stop, &step}) {
    if (!bound->is(Kind::kNone) && !bound->is(Kind::kInt)) return WrongType("slicing by", *bound);
  }
  const int64_t by = step.is(Kind::kInt) ? step.int_value() : 1;
  if (by == 0) return Fail("a slice's step is zero");
  const int64_t low = by > 0 ? 0 : -1;
  const int64_t high = by > 0 ? size : size - 1;
  const auto bound = [&](const Value& value, int64_t otherwise) {
    if (value.is(Kind::kNone)) return otherwise;
    const int64_t given = value.int_value();
    return std::clamp(given < 0 ? (given < -size ? low : given + size) : given, low, high);
  };
  const int64_t first = bound(start, by > 0 ? low : high);
  const int64_t last = bound(stop, by > 0 ? high : low);
  std::vector<size_t> positions;
  for (int64_t at = first; by > 0 ? at < last : at > last;) {
    positions.push_back(static_cast<size_t>(at));
    // Compared before adding, since a huge step would overflow.
    if (by > 0 ? by >= last - at : by <= last - at) break;
    at += by;
  }
  return positions;
}

StatusOr<Value> IntegerOperation(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else {
    if (b == 0) return Fail("division by zero");
    if (b == -1) return op == "//" ? IntegerOperation("-", 0, a) : StatusOr<Value>(Value::Int(0));
    // As in Python, the quotient is rounded down and the rest has the divisor's sign.
    const bool round_down = a % b != 0 && (a < 0) != (b < 0);
    result = op == "//" ? a / b - (round_down ? 1 : 0) : a % b + (round_down ? b : 0);
  }
  if (overflow) return Fail("an integer grows beyond 64 bits");
  return Value::Int(result);
}

StatusOr<bool> Contains(const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kUndefined: return false;
    case Kind::kString:
      if (!item.is(Kind::kString)) return WrongType("looking in a string for", item);
      return container.string().find(item.string()) != std::string::npos;
    case Kind::kDict: return item.is(Kind::kString) && container.dict().Find(item.string()) != nullptr;
    case Kind::kList:
      return std::any_of(container.list().begin(), container.list().end(),
                         [&item](const Value& member) { return AreEqual(member, item); });
    default: return WrongType("looking into", container);
  }
}

StatusOr<Value> ToInteger(const Value& value, const Arguments& arguments) {
  if (IsNumber(value)) return Value::Int(Number(value));
  const Value* otherwise = arguments.Get(0, "default");
  int64_t number = 0;
  if (value.is(Kind::kString)) {
    const std::string_view text = StripRight(StripLeft(value.string()));
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) return Value::Int(number);
  }
  return otherwise != nullptr ? *otherwise : Value::Int(0);
}

// Items whose attribute passes a test, or is true when no test is given.
StatusOr<Value> SelectByAttribute(const Value& value, const Arguments& arguments, bool wanted) {
  if (!value.is(Kind::kList)) return WrongType("selecting from", value);
  const Value* attribute = arguments.Get(0, "attribute");
  if (attribute == nullptr || !attribute->is(Kind::kString))
    return Fail("selectattr needs the name of an attribute");
  const Value* test = arguments.Get(1, "test");
  if (test != nullptr && !test->is(Kind::kString)) return Fail("selectattr needs the name of a test");
  Arguments of_test;
  for (size_t i = 2; i < arguments.positional.size(); ++i)
    of_test.positional.push_back(arguments.positional[i]);
  List kept;
  for (const Value& item : value.list()) {
    ASSIGN_OR_RETURN(const Value field, GetAttribute(item, attribute->string()));
    bool holds = IsTrue(field);
    if (test != nullptr) {
      ASSIGN_OR_RETURN(holds, ApplyTest(test->string(), field, of_test));
    }
    if (holds == wanted) kept.push_back(item);
  }
  return Value::FromList(std::move(kept));
}

// map(attribute="name"), map("filter")
StatusOr<Value> MapItems(const Value& value, const Arguments& arguments) {
  if (!value.is(Kind::kList)) return WrongType("mapping", value);
  const Value* attribute = arguments.named.Find("attribute");
  const Value* filter = arguments.Get(0, "filter");
  const Value* name = attribute != nullptr ? attribute : filter;
  if (name == nullptr || !name->is(Kind::kString))
    return Fail("map needs the name of an attribute or a filter");
  List mapped;
  for (const Value& item : value.list()) {
    StatusOr<Value> result =
        attribute != nullptr ? GetAttribute(item, name->string()) : ApplyFilter(name->string(), item, {});
    if (!result.ok()) return result;
    mapped.push_back(*std::move(result));
  }
  return Value::FromList(std::move(mapped));
}

StatusOr<Value> JsonFilter(const Value& value, const Arguments& arguments) {
  const Value* indent = arguments.named.Find("indent");
  for (const auto& [name, given] : arguments.named.entries) {
    if (name != "indent" && !(name == "ensure_ascii" && !IsTrue(given)))
      return Fail(StrCat("tojson(", name, "=...) is not supported"));
  }
  if (!arguments.positional.empty()) return Fail("tojson with an unnamed argument is not supported");
  if (indent == nullptr || indent->is(Kind::kNone)) return AsValue(ToJsonText(value, -1));
  if (!indent->is(Kind::kInt) || indent->int_value() < 0 || indent->int_value() > kMaxIndent) {
    return Fail(StrCat("tojson's indent must be 0 to ", kMaxIndent));
  }
  return AsValue(ToJsonText(value, static_cast<int>(indent->int_value())));
}

StatusOr<Value> TextFilter(std::string_view name, const std::string& text, const Arguments& arguments) {
  if (name == "trim") return Value::String(std::string(Strip(text, arguments.Get(0, "chars"), true, true)));
  if (name == "upper") return AsValue(ChangeCase(text, LetterCase::kUpper));
  if (name == "lower") return AsValue(ChangeCase(text, LetterCase::kLower));
  if (name == "capitalize") return AsValue(Capitalize(text));
  if (name == "replace") return Replace(text, arguments);
  return Value::String(text);  // string, safe
}

StatusOr<Value> Reversed(const Value& value) {
  return GetSlice(value, Value::None(), Value::None(), Value::Int(-1));
}

StatusOr<Value> AsList(const Value& value) {
  if (value.is(Kind::kList)) return value;
  if (value.is(Kind::kUndefined)) return Value::FromList({});
  if (!value.is(Kind::kString) && !value.is(Kind::kDict)) return WrongType("making a list of", value);
  List items;
  if (value.is(Kind::kDict)) {
    for (const auto& entry : value.dict().entries) items.push_back(Value::String(entry.first));
    return Value::FromList(std::move(items));
  }
  const std::vector<size_t> starts = CharacterStarts(value.string());
  for (size_t i = 0; i + 1 < starts.size(); ++i) {
    items.push_back(Value::String(value.string().substr(starts[i], starts[i + 1] - starts[i])));
  }
  return Value::FromList(std::move(items));
}

StatusOr<Value> DictMethod(const Value& object, std::string_view name, const Arguments& arguments) {
  if (name == "items") return Pairs(object);
  if (name == "keys") return AsList(object);
  if (name == "values") {
    List values;
    for (const auto& entry : object.dict().entries) values.push_back(entry.second);
    return Value::FromList(std::move(values));
  }
  if (name == "get") {
    const Value* key = arguments.Get(0, "key");
    const Value* otherwise = arguments.Get(1, "default");
    if (key == nullptr || !key->is(Kind::kString)) return Fail("get needs a key that is a string");
    const Value* found = object.dict().Find(key->string());
    if (found != nullptr) return *found;
    return otherwise != nullptr ? *otherwise : Value::None();
  }
  return Fail(StrCat("the method ", name, " of a dictionary is not supported"));
}

StatusOr<Value> StringMethod(const std::string& text, std::string_view name, const Arguments& arguments) {
  if (name == "strip") return Value::String(std::string(Strip(text, arguments.Get(0, "chars"), true, true)));
  if (name == "lstrip")
    return Value::String(std::string(Strip(text, arguments.Get(0, "chars"), true, false)));
  if (name == "rstrip")
    return Value::String(std::string(Strip(text, arguments.Get(0, "chars"), false, true)));
  if (name == "split") return Split(text, arguments);
  if (name == "upper" || name == "lower" || name == "capitalize" || name == "replace")
    return TextFilter(name, text, arguments);
  const Value* argument = arguments.Get(0, "");
  if (name == "startswith" || name == "endswith") {
    if (argument == nullptr || !argument->is(Kind::kString)) return Fail(StrCat(name, " needs a string"));
    return Value::Bool(name == "startswith" ? text.starts_with(argument->string())
                                            : text.ends_with(argument->string()));
  }
  if (name == "join") {
    if (argument == nullptr) return Fail("join needs a list");
    return Join(*argument, text);
  }
  return Fail(StrCat("the method ", name, " of a string is not supported"));
}

StatusOr<Value> Range(const Arguments& arguments) {
  int64_t bounds[3] = {0, 0, 1};
  const size_t given = arguments.positional.size();
  if (given < 1 || given > 3) return Fail("range needs one to three integers");
  for (size_t i = 0; i < given; ++i) {
    const Value& bound = arguments.positional[i];
    if (!bound.is(Kind::kInt) || std::abs(bound.int_value()) > kMaxRange)
      return Fail(StrCat("range needs integers up to ", kMaxRange));
    bounds[given == 1 ? 1 : i] = bound.int_value();
  }
  if (bounds[2] == 0) return Fail("range's step is zero");
  List numbers;
  for (int64_t at = bounds[0]; bounds[2] > 0 ? at < bounds[1] : at > bounds[1]; at += bounds[2]) {
    numbers.push_back(Value::Int(at));
  }
  return Value::FromList(std::move(numbers));
}

}  // namespace

StatusOr<Value> GetAttribute(const Value& object, const std::string& name) {
  if (object.is(Kind::kUndefined)) return WrongType(StrCat("asking for ", name, " of"), object);
  const Value* found = nullptr;
  if (object.is(Kind::kDict)) found = object.dict().Find(name);
  if (object.is(Kind::kNamespace)) found = object.name_space()->Find(name);
  return found != nullptr ? *found : Value::MakeUndefined(name);
}

StatusOr<Value> GetItem(const Value& object, const Value& index) {
  if (index.is(Kind::kString)) return GetAttribute(object, index.string());
  if (object.is(Kind::kUndefined)) return WrongType("indexing", object);
  if (!index.is(Kind::kInt) || (!object.is(Kind::kList) && !object.is(Kind::kString)))
    return Value::MakeUndefined("an element");
  ASSIGN_OR_RETURN(const int64_t size, Length(object));
  const int64_t at = index.int_value() < 0 ? index.int_value() + size : index.int_value();
  if (at < 0 || at >= size) return Value::MakeUndefined(StrCat("element ", index.int_value()));
  if (object.is(Kind::kList)) return object.list()[static_cast<size_t>(at)];
  const std::vector<size_t> starts = CharacterStarts(object.string());
  const auto first = static_cast<size_t>(at);
  return Value::String(object.string().substr(starts[first], starts[first + 1] - starts[first]));
}

StatusOr<Value> GetSlice(const Value& object, const Value& start, const Value& stop, const Value& step) {
  if (!object.is(Kind::kList) && !object.is(Kind::kString)) return WrongType("slicing", object);
  ASSIGN_OR_RETURN(const int64_t size, Length(object));
  ASSIGN_OR_RETURN(const std::vector<size_t> positions, SlicePositions(size, start, stop, step));
  if (object.is(Kind::kList)) {
    List items;
    for (const size_t at : positions) items.push_back(object.list()[at]);
    return Value::FromList(std::move(items));
  }
  const std::vector<size_t> starts = CharacterStarts(object.string());
  std::string text;
  for (const size_t at : positions) text.append(object.string(), starts[at], starts[at + 1] - starts[at]);
  return Value::String(std::move(text));
}

StatusOr<Value> Combine(std::string_view op, const Value& left, const Value& right) {
  if (op == "~") {
    ASSIGN_OR_RETURN(const std::string a, ToText(left));
    ASSIGN_OR_RETURN(const std::string b, ToText(right));
    if (a.size() + b.size() > kMaxStringBytes) return Fail("~ makes a text that is too long");
    return Value::String(a + b);
  }
  if (IsNumber(left) && IsNumber(right)) return IntegerOperation(op, Number(left), Number(right));
  if (op == "+" && left.is(Kind::kString) && right.is(Kind::kString)) {
    if (left.string().size() + right.string().size() > kMaxStringBytes)
      return Fail("+ makes a text that is too long");
    return Value::String(left.string() + right.string());
  }
  if (op == "+" && left.is(Kind::kList) && right.is(Kind::kList)) {
    if (left.list().size() + right.list().size() > kMaxListItems)
      return Fail("+ makes a list that is too long");
    List items = left.list();
    items.insert(items.end(), right.list().begin(), right.list().end());
    return Value::FromList(std::move(items));
  }
  for (const Value* operand : {&left, &right}) {
    if (operand->is(Kind::kUndefined)) return WrongType(StrCat("\"", op, "\" with"), *operand);
  }
  return Fail(
      StrCat("\"", op, "\" between ", left.kind_name(), " and ", right.kind_name(), " is not supported"));
}

StatusOr<bool> Compare(std::string_view op, const Value& left, const Value& right) {
  if (op == "==") return AreEqual(left, right);
  if (op == "!=") return !AreEqual(left, right);
  if (op == "in") return Contains(right, left);
  if (op == "not in") {
    ASSIGN_OR_RETURN(const bool contains, Contains(right, left));
    return !contains;
  }
  int order = 0;
  if (IsNumber(left) && IsNumber(right)) {
    order = Number(left) < Number(right) ? -1 : Number(left) > Number(right) ? 1 : 0;
  } else if (left.is(Kind::kString) && right.is(Kind::kString)) {
    // UTF-8 sorts by code point, as Python's strings do.
    order = left.string().compare(right.string());
  } else {
    return Fail(
        StrCat("\"", op, "\" between ", left.kind_name(), " and ", right.kind_name(), " is not supported"));
  }
  if (op == "<") return order < 0;
  if (op == ">") return order > 0;
  return op == "<=" ? order <= 0 : order >= 0;
}

StatusOr<Value> ApplyFilter(std::string_view name, const Value& value, const Arguments& arguments) {
  if (name == "default" || name == "d") {
    const Value* otherwise = arguments.Get(0, "default_value");
    const Value* also_false = arguments.Get(1, "boolean");
    const bool use =
        value.is(Kind::kUndefined) || (also_false != nullptr && IsTrue(*also_false) && !IsTrue(value));
    if (!use) return value;
    return otherwise != nullptr ? *otherwise : Value::String("");
  }
  if (name == "tojson") return JsonFilter(value, arguments);
  if (name == "length" || name == "count") {
    ASSIGN_OR_RETURN(const int64_t length, Length(value));
    return Value::Int(length);
  }
  if (name == "join") {
    const Value* separator = arguments.Get(0, "d");
    if (separator != nullptr && !separator->is(Kind::kString)) return WrongType("joining with", *separator);
    return Join(value, separator == nullptr ? std::string_view() : std::string_view(separator->string()));
  }
  if (name == "first") return GetItem(value, Value::Int(0));
  if (name == "last") return GetItem(value, Value::Int(-1));
  if (name == "reverse") return Reversed(value);
  if (name == "list") return AsList(value);
  if (name == "items" && value.is(Kind::kDict)) return Pairs(value);
  if (name == "int") return ToInteger(value, arguments);
  if (name == "map") return MapItems(value, arguments);
  if (name == "selectattr" || name == "rejectattr")
    return SelectByAttribute(value, arguments, name == "selectattr");
  if (name == "trim" || name == "upper" || name == "lower" || name == "capitalize" || name == "replace" ||
      name == "string" || name == "safe") {
    ASSIGN_OR_RETURN(const std::string text, ToText(value));
    return TextFilter(name, text, arguments);
  }
  return Fail(StrCat("the filter ", name, " is not supported"));
}

StatusOr<bool> ApplyTest(std::string_view name, const Value& value, const Arguments& arguments) {
  if (name == "defined") return !value.is(Kind::kUndefined);
  if (name == "undefined") return value.is(Kind::kUndefined);
  if (name == "none") return value.is(Kind::kNone);
  if (name == "string") return value.is(Kind::kString);
  if (name == "number") return IsNumber(value);
  if (name == "integer") return value.is(Kind::kInt);
  if (name == "boolean") return value.is(Kind::kBool);
  if (name == "true") return value.is(Kind::kBool) && value.bool_value();
  if (name == "false") return value.is(Kind::kBool) && !value.bool_value();
  if (name == "mapping") return value.is(Kind::kDict);
  if (name == "iterable" || name == "sequence") {
    return value.is(Kind::kString) || value.is(Kind::kList) || value.is(Kind::kDict) ||
           value.is(Kind::kUndefined);
  }
  if (name == "odd" || name == "even") {
    if (!IsNumber(value)) return WrongType(StrCat("testing for ", name, " with"), value);
    return (Number(value) % 2 != 0) == (name == "odd");
  }
  const Value* argument = arguments.Get(0, "other");
  if (argument == nullptr) return Fail(StrCat("the test ", name, " is not supported or lacks its argument"));
  if (name == "eq" || name == "equalto" || name == "sameas") return AreEqual(value, *argument);
  if (name == "ne") return !AreEqual(value, *argument);
  if (name == "in") return Contains(*argument, value);
  if (name == "divisibleby") {
    if (!IsNumber(value) || !IsNumber(*argument) || Number(*argument) == 0)
      return Fail("divisibleby needs integers");
    return Number(*argument) == -1 || Number(value) % Number(*argument) == 0;
  }
  return Fail(StrCat("the test ", name, " is not supported"));
}

StatusOr<Value> CallFunction(std::string_view name, const Arguments& arguments) {
  if (name == "raise_exception") {
    const Value* message = arguments.Get(0, "message");
    return Fail(message != nullptr && message->is(Kind::kString)
                    ? StrCat("the template refuses these messages: ", message->string())
                    : std::string("the template refuses these messages"));
  }
  if (name == "namespace") {
    Value made = Value::NewNamespace();
    for (const auto& [key, value] : arguments.named.entries) {
      if (value.is(Kind::kNamespace)) return Fail("a namespace inside a namespace is not supported");
      made.name_space()->Set(key, value);
    }
    return made;
  }
  if (name == "range") return Range(arguments);
  if (name == "dict") return Value::FromDict(arguments.named);
  if (name == "strftime_now") {
    return Fail(
        "strftime_now is not supported, since training data would depend on the day; give the template a "
        "fixed date");
  }
  return Fail(StrCat("calling ", name, " is not supported"));
}

StatusOr<Value> CallMethod(const Value& object, std::string_view name, const Arguments& arguments) {
  if (object.is(Kind::kString)) return StringMethod(object.string(), name, arguments);
  if (object.is(Kind::kDict)) return DictMethod(object, name, arguments);
  return WrongType(StrCat("calling ", name, " of"), object);
}

}  // namespace ft::data::jinja
