#include "worker/data/jinja/jinja_functions.h"

#include <algorithm>
#include <array>

#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_print.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

constexpr std::array<std::string_view, 5> kFunctions = {"range", "dict", "namespace", "raise_exception",
                                                        "strftime_now"};
constexpr uint64_t kMaxRange = 100'000;  // As Jinja's sandbox.
constexpr size_t kMaxDateFormat = 256;

Status Fail(std::string text) { return absl::InvalidArgumentError(std::move(text)); }

Status Raise(const Arguments& arguments, Budget& budget) {
  const Value* message = arguments.Get(0, "message");
  if (message == nullptr) return Fail("the template refuses these messages");
  ASSIGN_OR_RETURN(const std::string text, ToText(*message, budget));
  return Fail(StrCat("the template refuses these messages: ", text));
}

StatusOr<Value> Range(const Arguments& arguments, Budget& budget) {
  int64_t bounds[3] = {0, 0, 1};
  const size_t given = arguments.positional.size();
  if (given < 1 || given > 3 || !arguments.named.entries.empty())
    return Fail("range needs one to three integers");
  for (size_t i = 0; i < given; ++i) {
    const Value& bound = arguments.positional[i];
    if (!bound.is_whole()) return WrongType("a range of", bound);
    bounds[given == 1 ? 1 : i] = bound.whole();
  }
  const auto [begin, end, step] = bounds;
  if (step == 0) return Fail("range's step is zero");
  const bool empty = step > 0 ? begin >= end : begin <= end;
  // Without signs, since the distance may be more than an int64_t holds.
  const uint64_t distance = step > 0 ? static_cast<uint64_t>(end) - static_cast<uint64_t>(begin)
                                     : static_cast<uint64_t>(begin) - static_cast<uint64_t>(end);
  const uint64_t stride = step > 0 ? static_cast<uint64_t>(step) : uint64_t{0} - static_cast<uint64_t>(step);
  const uint64_t count = empty ? 0 : (distance - 1) / stride + 1;
  if (count > kMaxRange) return Fail(StrCat("a range longer than ", kMaxRange, " is not supported"));
  RETURN_IF_ERROR(budget.Charge(1 + count / 4));
  List numbers;
  for (uint64_t i = 0; i < count; ++i) {
    numbers.push_back(
        Value::Int(static_cast<int64_t>(static_cast<uint64_t>(begin) + i * static_cast<uint64_t>(step))));
  }
  return Value::FromList(std::move(numbers), Sequence::kRange);
}

// A dictionary among the arguments, and the named ones.
StatusOr<Dict> Entries(const Arguments& arguments, std::string_view name) {
  Dict entries;
  if (arguments.positional.size() > 1) return Fail(StrCat(name, " takes one dictionary"));
  if (!arguments.positional.empty()) {
    const Value& given = arguments.positional[0];
    if (given.is(Kind::kDict)) {
      entries = given.dict();
    } else if (given.is(Kind::kList)) {
      for (const Value& pair : given.Take()) {
        const bool fits = pair.is(Kind::kList) && pair.list().size() == 2 && pair.list()[0].is(Kind::kString);
        if (!fits) return Fail(StrCat(name, " takes pairs of a string and a value"));
        entries.Set(pair.list()[0].string(), pair.list()[1]);
      }
    } else {
      return WrongType(StrCat(name, " of"), given);
    }
  }
  for (const auto& [key, value] : arguments.named.entries) entries.Set(key, value);
  return entries;
}

StatusOr<Value> MakeNamespace(const Arguments& arguments) {
  ASSIGN_OR_RETURN(Dict entries, Entries(arguments, "namespace"));
  Value made = Value::NewNamespace();
  for (auto& [key, value] : entries.entries) {
    if (key.starts_with('_'))
      return Fail(StrCat("a namespace cannot hold \"", key, "\", which begins with an underscore"));
    if (value.is(Kind::kNamespace)) return Fail("a namespace inside a namespace is not supported");
    made.name_space()->Set(key, std::move(value));
  }
  return made;
}

// Python's strftime of a time without a zone, in English.
StatusOr<Value> FormatDate(const Arguments& arguments, const std::optional<std::tm>& now) {
  if (!now) {
    return Fail(
        "strftime_now is not supported here, where the job's date is not known; give the template a fixed "
        "date");
  }
  if (!arguments.Has(0, "format")) return Fail("strftime_now needs a format");
  ASSIGN_OR_RETURN(const std::string format, arguments.Text(0, "format", ""));
  if (format.size() > kMaxDateFormat)
    return Fail(StrCat("strftime_now takes a format of up to ", kMaxDateFormat, " bytes"));
  std::string plain;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      plain += format[i];
      continue;
    }
    const char kind = format[++i];
    if (kind == 'z' || kind == 'Z') continue;
    plain += kind == 'f' ? std::string("000000") : std::string("%") + kind;
  }
  std::array<char, kMaxDateFormat * 32> text;
  // The blank tells an empty text from one that does not fit.
  plain += ' ';
  const size_t size = std::strftime(text.data(), text.size(), plain.c_str(), &*now);
  if (size == 0) return Fail("strftime_now makes a text that is too long");
  return Value::String(std::string(text.data(), size - 1));
}

}  // namespace

bool IsFunction(std::string_view name) {
  return std::find(kFunctions.begin(), kFunctions.end(), name) != kFunctions.end();
}

StatusOr<Value> CallFunction(std::string_view name, const Arguments& arguments,
                             const std::optional<std::tm>& now, Budget& budget) {
  if (name == "range") return Range(arguments, budget);
  if (name == "raise_exception") return Raise(arguments, budget);
  if (name == "namespace") return MakeNamespace(arguments);
  if (name == "strftime_now") return FormatDate(arguments, now);
  ASSIGN_OR_RETURN(Dict entries, Entries(arguments, "dict"));
  RETURN_IF_ERROR(budget.Charge(1 + entries.entries.size()));
  return Value::FromDict(std::move(entries));
}

}  // namespace ft::data::jinja
