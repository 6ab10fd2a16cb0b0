#include "worker/data/jinja/jinja_string_methods.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "worker/data/jinja/jinja_methods.h"
#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_print.h"
#include "worker/data/jinja/jinja_text.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

struct Call {
  const Value& object;
  std::string_view text;
  std::string_view name;
  const Arguments& arguments;
  Budget& budget;

  Value Like(std::string_view part) const { return Value::StringLike(object, std::string(part)); }
  StatusOr<std::string> Argument(size_t position, std::string_view of_name) const {
    if (!arguments.Has(position, of_name))
      return absl::InvalidArgumentError(StrCat(name, " lacks an argument"));
    return arguments.Text(position, of_name, "");
  }
};

using Method = StatusOr<Value> (*)(const Call&);

StatusOr<Value> Strip(const Call& call) {
  const bool left = call.name != "rstrip", right = call.name != "lstrip";
  const Value* set = call.arguments.Get(0, "chars");
  if (set == nullptr || set->is(Kind::kNone)) {
    const std::string_view rest = left ? StripLeft(call.text) : call.text;
    return call.Like(right ? StripRight(rest) : rest);
  }
  if (!set->is(Kind::kString)) return WrongType("stripping", *set);
  return call.Like(StripSet(call.text, set->string(), left, right));
}

// How many pieces a split may still cut off.
StatusOr<int64_t> SplitLimit(const Call& call) {
  ASSIGN_OR_RETURN(const int64_t limit, call.arguments.Whole(1, "maxsplit", -1));
  return limit < 0 ? std::numeric_limits<int64_t>::max() : limit;
}

// A part takes about as much memory as 256 bytes of text.
Status AddPart(const Call& call, std::string_view part, std::vector<std::string_view>* parts) {
  parts->push_back(part);
  return call.budget.Charge(4);
}

StatusOr<Value> MakeList(const Call& call, const std::vector<std::string_view>& parts,
                         bool reversed = false) {
  List items;
  for (const std::string_view part : parts) items.push_back(call.Like(part));
  if (reversed) std::reverse(items.begin(), items.end());
  return Value::FromList(std::move(items));
}

StatusOr<Value> SplitAtSpace(const Call& call, int64_t left, bool from_right) {
  std::vector<std::string_view> parts;
  std::string_view text = from_right ? StripRight(call.text) : StripLeft(call.text);
  while (!text.empty()) {
    size_t size = 0;  // Of the piece at the end that is looked at.
    while (size < text.size() && left > 0) {
      const tokenizer::Utf8Char next =
          from_right ? tokenizer::ReadUtf8Before(text, text.size() - size) : tokenizer::ReadUtf8(text, size);
      if (IsPythonSpace(next.code)) break;
      size += next.length;
    }
    if (left == 0) size = text.size();
    RETURN_IF_ERROR(
        AddPart(call, from_right ? text.substr(text.size() - size) : text.substr(0, size), &parts));
    text = from_right ? StripRight(text.substr(0, text.size() - size)) : StripLeft(text.substr(size));
    --left;
  }
  return MakeList(call, parts, from_right);
}

StatusOr<Value> Split(const Call& call) {
  const bool from_right = call.name == "rsplit";
  ASSIGN_OR_RETURN(int64_t left, SplitLimit(call));
  const Value* separator = call.arguments.Get(0, "sep");
  if (separator == nullptr || separator->is(Kind::kNone)) return SplitAtSpace(call, left, from_right);
  if (!separator->is(Kind::kString)) return WrongType("splitting at", *separator);
  const std::string& mark = separator->string();
  if (mark.empty()) return absl::InvalidArgumentError("split needs a separator that is not empty");
  std::vector<std::string_view> parts;
  std::string_view text = call.text;
  for (; left > 0; --left) {
    const size_t at = from_right ? text.rfind(mark) : text.find(mark);
    if (at == std::string_view::npos) break;
    RETURN_IF_ERROR(AddPart(call, from_right ? text.substr(at + mark.size()) : text.substr(0, at), &parts));
    text = from_right ? text.substr(0, at) : text.substr(at + mark.size());
  }
  parts.push_back(text);
  return MakeList(call, parts, from_right);
}

StatusOr<Value> SplitLines(const Call& call) {
  const bool keep = call.arguments.Flag(0, "keepends", false);
  std::vector<std::string_view> lines;
  size_t begin = 0;
  for (size_t at = 0; at < call.text.size();) {
    const tokenizer::Utf8Char character = tokenizer::ReadUtf8(call.text, at);
    const char32_t code = character.code;
    const size_t end = at;
    at += character.length;
    const bool breaks = (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
                        code == 0x2028 || code == 0x2029;
    if (!breaks) continue;
    if (code == '\r' && at < call.text.size() && call.text[at] == '\n') ++at;
    RETURN_IF_ERROR(AddPart(call, call.text.substr(begin, (keep ? at : end) - begin), &lines));
    begin = at;
  }
  if (begin < call.text.size()) lines.push_back(call.text.substr(begin));
  return MakeList(call, lines);
}

StatusOr<Value> Partition(const Call& call) {
  ASSIGN_OR_RETURN(const std::string mark, call.Argument(0, "sep"));
  if (mark.empty()) return absl::InvalidArgumentError("partition needs a separator that is not empty");
  const bool from_right = call.name == "rpartition";
  const size_t at = from_right ? call.text.rfind(mark) : call.text.find(mark);
  List parts;
  if (at == std::string_view::npos) {
    parts = {call.Like(from_right ? "" : call.text), call.Like(""), call.Like(from_right ? call.text : "")};
  } else {
    parts = {call.Like(call.text.substr(0, at)), call.Like(mark),
             call.Like(call.text.substr(at + mark.size()))};
  }
  return Value::FromList(std::move(parts), Sequence::kTuple);
}

// The part of the text that the arguments start and end, from `position` on, ask about, and where it begins.
StatusOr<std::string_view> Window(const Call& call, size_t position, size_t* begin) {
  SliceBounds bounds;
  if (const Value* start = call.arguments.Get(position, "start")) bounds.start = *start;
  if (const Value* end = call.arguments.Get(position + 1, "end")) bounds.stop = *end;
  const int64_t size = CountCharacters(call.text);
  const auto place = [&](const Value& bound, int64_t otherwise) {
    const int64_t given = bound.is_whole() ? bound.whole() : otherwise;
    return std::clamp<int64_t>(given < 0 ? given + size : given, 0, size);
  };
  const int64_t first = place(bounds.start, 0), last = place(bounds.stop, size);
  if (bounds.start.is_whole() && bounds.start.whole() > size) return absl::OutOfRangeError("");
  *begin = CharacterOffset(call.text, first);
  return call.text.substr(*begin, last <= first ? 0 : CharacterOffset(call.text, last) - *begin);
}

StatusOr<Value> StartsOrEnds(const Call& call) {
  const Value* wanted = call.arguments.Get(0, "prefix");
  if (wanted == nullptr) return absl::InvalidArgumentError(StrCat(call.name, " lacks an argument"));
  List any;
  if (wanted->is_list(Sequence::kTuple)) {
    any = wanted->list();
  } else {
    any.push_back(*wanted);
  }
  size_t begin = 0;
  const StatusOr<std::string_view> window = Window(call, 1, &begin);
  bool holds = false;
  for (const Value& each : any) {
    if (!each.is(Kind::kString)) return WrongType(StrCat(call.name, " with"), each);
    if (!window.ok()) continue;  // A start behind the end.
    holds = holds || (call.name == "startswith" ? window->starts_with(each.string())
                                                : window->ends_with(each.string()));
  }
  return Value::Bool(holds);
}

StatusOr<Value> Find(const Call& call) {
  ASSIGN_OR_RETURN(const std::string wanted, call.Argument(0, "sub"));
  size_t begin = 0;
  const StatusOr<std::string_view> window = Window(call, 1, &begin);
  const bool last = call.name == "rfind" || call.name == "rindex";
  const size_t at = !window.ok() ? std::string_view::npos
                    : last       ? window->rfind(wanted)
                                 : window->find(wanted);
  if (at != std::string_view::npos) return Value::Int(CountCharacters(call.text.substr(0, begin + at)));
  if (call.name == "find" || call.name == "rfind") return Value::Int(-1);
  return absl::InvalidArgumentError(StrCat(call.name, " does not find its text"));
}

StatusOr<Value> Count(const Call& call) {
  ASSIGN_OR_RETURN(const std::string wanted, call.Argument(0, "sub"));
  size_t begin = 0;
  const StatusOr<std::string_view> window = Window(call, 1, &begin);
  if (!window.ok()) return Value::Int(0);
  if (wanted.empty()) return Value::Int(CountCharacters(*window) + 1);
  int64_t count = 0;
  for (size_t at = window->find(wanted); at != std::string_view::npos;
       at = window->find(wanted, at + wanted.size()))
    ++count;
  return Value::Int(count);
}

StatusOr<Value> Replace(const Call& call) {
  ASSIGN_OR_RETURN(const std::string from, call.Argument(0, "old"));
  ASSIGN_OR_RETURN(const std::string to, call.Argument(1, "new"));
  ASSIGN_OR_RETURN(const int64_t limit, call.arguments.Whole(2, "count", -1));
  ASSIGN_OR_RETURN(const std::string text, ReplaceText(call.text, from, to, limit, call.budget));
  return call.Like(text);
}

StatusOr<Value> JoinItems(const Call& call) {
  const Value* items = call.arguments.Get(0, "iterable");
  if (items == nullptr) return absl::InvalidArgumentError("join lacks an argument");
  if (items->is(Kind::kUndefined)) return call.Like("");
  ASSIGN_OR_RETURN(const List list, Items(*items, call.budget));
  std::string out;
  for (size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is(Kind::kString)) return WrongType("joining", list[i]);
    if (i > 0) out.append(call.text);
    out.append(list[i].string());
    RETURN_IF_ERROR(call.budget.CheckText(out.size()));
  }
  RETURN_IF_ERROR(call.budget.ChargeText(out.size()));
  return call.Like(out);
}

StatusOr<Value> RemoveAffix(const Call& call) {
  ASSIGN_OR_RETURN(const std::string affix, call.Argument(0, "prefix"));
  std::string_view text = call.text;
  if (call.name == "removeprefix" && text.starts_with(affix)) text.remove_prefix(affix.size());
  if (call.name == "removesuffix" && text.ends_with(affix)) text.remove_suffix(affix.size());
  return call.Like(text);
}

StatusOr<Value> Justify(const Call& call) {
  ASSIGN_OR_RETURN(const int64_t width, call.arguments.Whole(0, "width", 0));
  ASSIGN_OR_RETURN(const std::string fill, call.arguments.Text(1, "fillchar", " "));
  if (CountCharacters(fill) != 1)
    return absl::InvalidArgumentError(StrCat(call.name, " fills with one character"));
  const int64_t size = CountCharacters(call.text);
  if (width <= size) return call.Like(call.text);
  const int64_t missing = width - size;
  RETURN_IF_ERROR(call.budget.ChargeText(
      static_cast<size_t>(missing) > SIZE_MAX / 8 ? SIZE_MAX : static_cast<size_t>(missing) * 4));
  // As in CPython, the odd place of center goes to the left where the width is odd.
  const int64_t left = call.name == "rjust"   ? missing
                       : call.name == "ljust" ? 0
                                              : missing / 2 + (missing & width & 1);
  std::string out;
  for (int64_t i = 0; i < left; ++i) out += fill;
  out += call.text;
  for (int64_t i = left; i < missing; ++i) out += fill;
  return call.Like(out);
}

StatusOr<Value> FillWithZeros(const Call& call) {
  ASSIGN_OR_RETURN(const int64_t width, call.arguments.Whole(0, "width", 0));
  const int64_t size = CountCharacters(call.text);
  if (width <= size) return call.Like(call.text);
  const int64_t missing = width - size;
  RETURN_IF_ERROR(call.budget.ChargeText(static_cast<size_t>(missing)));
  const size_t sign = call.text.starts_with('-') || call.text.starts_with('+') ? 1 : 0;
  return call.Like(StrCat(call.text.substr(0, sign), std::string(static_cast<size_t>(missing), '0'),
                          call.text.substr(sign)));
}

StatusOr<Value> ChangeLetters(const Call& call) {
  if (call.name == "upper") return call.Like(Upper(call.text));
  if (call.name == "lower") return call.Like(Lower(call.text));
  if (call.name == "capitalize") return call.Like(Capitalise(call.text));
  return call.Like(call.name == "title" ? TitleWords(call.text) : SwapCase(call.text));
}

StatusOr<Value> AskClass(const Call& call) { return Value::Bool(IsOfClass(call.name, call.text)); }

const std::unordered_map<std::string_view, Method>& Methods() {
  static const std::unordered_map<std::string_view, Method> methods = {{"strip", Strip},
                                                                       {"lstrip", Strip},
                                                                       {"rstrip", Strip},
                                                                       {"split", Split},
                                                                       {"rsplit", Split},
                                                                       {"splitlines", SplitLines},
                                                                       {"partition", Partition},
                                                                       {"rpartition", Partition},
                                                                       {"startswith", StartsOrEnds},
                                                                       {"endswith", StartsOrEnds},
                                                                       {"find", Find},
                                                                       {"rfind", Find},
                                                                       {"index", Find},
                                                                       {"rindex", Find},
                                                                       {"count", Count},
                                                                       {"replace", Replace},
                                                                       {"join", JoinItems},
                                                                       {"removeprefix", RemoveAffix},
                                                                       {"removesuffix", RemoveAffix},
                                                                       {"center", Justify},
                                                                       {"ljust", Justify},
                                                                       {"rjust", Justify},
                                                                       {"zfill", FillWithZeros},
                                                                       {"upper", ChangeLetters},
                                                                       {"lower", ChangeLetters},
                                                                       {"capitalize", ChangeLetters},
                                                                       {"title", ChangeLetters},
                                                                       {"swapcase", ChangeLetters},
                                                                       {"isalpha", AskClass},
                                                                       {"isalnum", AskClass},
                                                                       {"isdigit", AskClass},
                                                                       {"isdecimal", AskClass},
                                                                       {"isnumeric", AskClass},
                                                                       {"isspace", AskClass},
                                                                       {"islower", AskClass},
                                                                       {"isupper", AskClass},
                                                                       {"istitle", AskClass}};
  return methods;
}

}  // namespace

bool IsStringMethod(std::string_view name) { return Methods().contains(name); }

StatusOr<Value> CallStringMethod(const Value& object, std::string_view name, const Arguments& arguments,
                                 Budget& budget) {
  RETURN_IF_ERROR(budget.Charge(2 * object.weight()));
  return Methods().at(name)({object, object.string(), name, arguments, budget});
}

StatusOr<std::string> ReplaceText(std::string_view text, std::string_view from, std::string_view to,
                                  int64_t limit, Budget& budget) {
  int64_t left = limit < 0 ? std::numeric_limits<int64_t>::max() : limit;
  std::string out;
  if (from.empty()) {  // Before every character and at the end.
    for (; left > 0 && !text.empty(); --left) {
      const size_t length = tokenizer::ReadUtf8(text, 0).length;
      out.append(to).append(text.substr(0, length));
      text.remove_prefix(length);
      RETURN_IF_ERROR(budget.CheckText(out.size()));
    }
    if (left > 0) out.append(to);
  }
  for (size_t at = from.empty() ? std::string_view::npos : text.find(from);
       at != std::string_view::npos && left > 0; at = text.find(from), --left) {
    out.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
    RETURN_IF_ERROR(budget.CheckText(out.size()));
  }
  out.append(text);
  RETURN_IF_ERROR(budget.ChargeText(out.size()));
  return out;
}

}  // namespace ft::data::jinja
