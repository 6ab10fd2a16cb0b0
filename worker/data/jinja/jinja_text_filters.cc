#include <algorithm>

#include "worker/data/jinja/jinja_filter_call.h"
#include "worker/data/jinja/jinja_filters.h"
#include "worker/data/jinja/jinja_methods.h"
#include "worker/data/jinja/jinja_operators.h"
#include "worker/data/jinja/jinja_print.h"
#include "worker/data/jinja/jinja_text.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

constexpr int64_t kMaxIndent = 1'000;

// The value as a string; markup stays markup.
StatusOr<Value> AsString(const FilterCall& call) {
  if (call.value.is(Kind::kString)) return call.value;
  ASSIGN_OR_RETURN(std::string text, ToText(call.value, call.budget));
  RETURN_IF_ERROR(call.budget.ChargeText(text.size()));
  return Value::String(std::move(text));
}

StatusOr<Value> Safe(const FilterCall& call) {
  ASSIGN_OR_RETURN(const Value text, AsString(call));
  return Value::Markup(text.string());
}

StatusOr<Value> Escape(const FilterCall& call) {
  ASSIGN_OR_RETURN(const Value text, AsString(call));
  if (text.is_markup()) return text;
  std::string escaped = EscapeHtml(text.string());
  RETURN_IF_ERROR(call.budget.ChargeText(escaped.size()));
  return Value::Markup(std::move(escaped));
}

// A filter that is the string's method of that name.
StatusOr<Value> ByMethod(const FilterCall& call) {
  ASSIGN_OR_RETURN(const Value text, AsString(call));
  return CallMethod(text, call.name == "trim" ? "strip" : call.name, call.arguments, call.budget);
}

StatusOr<Value> Center(const FilterCall& call) {
  ASSIGN_OR_RETURN(const Value text, AsString(call));
  ASSIGN_OR_RETURN(const int64_t width, call.arguments.Whole(0, "width", 80));
  return CallMethod(text, "center", {.positional = {Value::Int(width)}}, call.budget);
}

// Every word behind white space, a hyphen or an opening bracket begins with a capital; the rest is small.
StatusOr<Value> Title(const FilterCall& call) {
  ASSIGN_OR_RETURN(const Value text, AsString(call));
  RETURN_IF_ERROR(call.budget.Charge(2 * text.weight()));
  std::string out;
  bool begins = true;
  for (size_t at = 0; at < text.string().size();) {
    const tokenizer::Utf8Char character = tokenizer::ReadUtf8(text.string(), at);
    const std::string_view one = std::string_view(text.string()).substr(at, character.length);
    out += begins ? Upper(one) : Lower(one);
    begins =
        IsPythonSpace(character.code) || one == "-" || one == "(" || one == "{" || one == "[" || one == "<";
    at += character.length;
  }
  return Value::String(std::move(out));
}

StatusOr<Value> Replace(const FilterCall& call) {
  ASSIGN_OR_RETURN(const Value text, AsString(call));
  const Value* from = call.arguments.Get(0, "old");
  const Value* to = call.arguments.Get(1, "new");
  const Value* count = call.arguments.Get(2, "count");
  if (from == nullptr || to == nullptr) return absl::InvalidArgumentError("replace needs two strings");
  if (count != nullptr && !count->is_whole() && !count->is(Kind::kNone))
    return WrongType("replacing as often as", *count);
  ASSIGN_OR_RETURN(const std::string old_text, ToText(*from, call.budget));
  ASSIGN_OR_RETURN(const std::string new_text, ToText(*to, call.budget));
  const int64_t limit = count != nullptr && count->is_whole() ? count->whole() : -1;
  RETURN_IF_ERROR(call.budget.Charge(text.weight()));
  ASSIGN_OR_RETURN(std::string replaced, ReplaceText(text.string(), old_text, new_text, limit, call.budget));
  return Value::String(std::move(replaced));
}

// join(d="", attribute=none)
StatusOr<Value> Join(const FilterCall& call) {
  const Value* given = call.arguments.Get(0, "d");
  std::string separator;
  if (given != nullptr) {
    ASSIGN_OR_RETURN(separator, ToText(*given, call.budget));
  }
  const Value* attribute = call.arguments.Get(1, "attribute");
  ASSIGN_OR_RETURN(const List items, Items(call.value, call.budget));
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    Value item = items[i];
    if (attribute != nullptr && !attribute->is(Kind::kNone)) {
      ASSIGN_OR_RETURN(item, GetPath(item, *attribute, call.budget));
    }
    ASSIGN_OR_RETURN(const std::string text, ToText(item, call.budget));
    if (i > 0) out.append(separator);
    out.append(text);
    RETURN_IF_ERROR(call.budget.CheckText(out.size()));
  }
  RETURN_IF_ERROR(call.budget.ChargeText(out.size()));
  return Value::String(std::move(out));
}

// indent(width=4, first=false, blank=false): behind every line break, also at the text's end with `blank`.
StatusOr<Value> Indent(const FilterCall& call) {
  ASSIGN_OR_RETURN(const Value text, AsString(call));
  const Value* width = call.arguments.Get(0, "width");
  std::string indent(4, ' ');
  if (width != nullptr && width->is(Kind::kString)) indent = width->string();
  if (width != nullptr && !width->is(Kind::kString)) {
    ASSIGN_OR_RETURN(const int64_t count, call.arguments.Whole(0, "width", 4));
    if (count > kMaxIndent)
      return absl::InvalidArgumentError(StrCat("indent takes a width up to ", kMaxIndent));
    indent.assign(static_cast<size_t>(std::max<int64_t>(count, 0)), ' ');
  }
  const bool blank = call.arguments.Flag(2, "blank", false);
  const std::string source =
      text.string() + "\n";  // As Jinja, so that a last line break makes no line of its own.
  ASSIGN_OR_RETURN(const Value lines, CallMethod(Value::String(source), "splitlines", {}, call.budget));
  std::string out = call.arguments.Flag(1, "first", false) ? indent : "";
  for (size_t i = 0; i < lines.list().size(); ++i) {
    const std::string& line = lines.list()[i].string();
    if (i > 0) out += "\n";
    if (i > 0 && (blank || !line.empty())) out += indent;
    out += line;
    RETURN_IF_ERROR(call.budget.CheckText(out.size()));
  }
  RETURN_IF_ERROR(call.budget.ChargeText(out.size()));
  return Value::StringLike(text, std::move(out));
}

StatusOr<JsonStyle> StyleOf(const Arguments& arguments) {
  JsonStyle style{.ascii = arguments.Flag(0, "ensure_ascii", false),
                  .sort_keys = arguments.Flag(3, "sort_keys", false)};
  const Value* indent = arguments.Get(1, "indent");
  if (indent != nullptr && indent->is(Kind::kString)) style.indent = indent->string();
  if (indent != nullptr && indent->is_whole()) {
    if (indent->whole() > kMaxIndent)
      return absl::InvalidArgumentError(StrCat("tojson takes an indent up to ", kMaxIndent));
    style.indent.assign(static_cast<size_t>(std::max<int64_t>(indent->whole(), 0)), ' ');
  }
  style.pretty = indent != nullptr && !indent->is(Kind::kNone);
  if (style.pretty) style.item_separator.assign(1, ',');
  const Value* separators = arguments.Get(2, "separators");
  if (separators == nullptr || separators->is(Kind::kNone)) return style;
  const bool two = separators->is(Kind::kList) && separators->list().size() == 2 &&
                   separators->list()[0].is(Kind::kString) && separators->list()[1].is(Kind::kString);
  if (!two) return absl::InvalidArgumentError("tojson's separators must be two strings");
  style.item_separator = separators->list()[0].string();
  style.key_separator = separators->list()[1].string();
  return style;
}

// tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false), as Hugging Face defines it.
StatusOr<Value> ToJson(const FilterCall& call) {
  for (const auto& [name, given] : call.arguments.named.entries) {
    if (name != "ensure_ascii" && name != "indent" && name != "separators" && name != "sort_keys")
      return absl::InvalidArgumentError(StrCat("tojson takes no argument ", name));
  }
  ASSIGN_OR_RETURN(const JsonStyle style, StyleOf(call.arguments));
  ASSIGN_OR_RETURN(std::string text, ToJsonText(call.value, style, call.budget));
  RETURN_IF_ERROR(call.budget.ChargeText(text.size()));
  return Value::String(std::move(text));
}

}  // namespace

FilterTable TextFilters() {
  return {{"string", AsString}, {"safe", Safe},      {"escape", Escape},       {"e", Escape},
          {"trim", ByMethod},   {"upper", ByMethod}, {"lower", ByMethod},      {"title", Title},
          {"replace", Replace}, {"join", Join},      {"capitalize", ByMethod}, {"center", Center},
          {"indent", Indent},   {"tojson", ToJson}};
}

}  // namespace ft::data::jinja
