#include "worker/data/jinja/jinja_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "worker/data/jinja/jinja_text.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::data::jinja {
namespace {

using Kind = Value::Kind;

// A text in the quotes that Python chooses.
void AppendRepr(std::string_view text, std::string* out) {
  const bool single = text.find('\'') != std::string_view::npos;
  const char quote = single && text.find('"') == std::string_view::npos ? '"' : '\'';
  out->push_back(quote);
  for (size_t at = 0; at < text.size();) {
    const tokenizer::Utf8Char character = tokenizer::ReadUtf8(text, at);
    const auto code = static_cast<uint32_t>(character.code);
    if (code == static_cast<uint32_t>(quote) || code == '\\') {
      out->push_back('\\');
      out->push_back(static_cast<char>(code));
    } else if (code == '\n' || code == '\r' || code == '\t') {
      out->append(code == '\n' ? "\\n" : code == '\r' ? "\\r" : "\\t");
    } else if (IsPrintable(character.code)) {
      out->append(text.substr(at, character.length));
    } else if (code < 0x100) {
      out->append(fmt::format("\\x{:02x}", code));
    } else {
      out->append(code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code));
    }
    at += character.length;
  }
  out->push_back(quote);
}

class ReprPrinter {
 public:
  ReprPrinter(Budget& budget, std::string* out) : budget_(budget), out_(out) {}

  Status Print(const Value& value) {
    RETURN_IF_ERROR(budget_.Charge(1));
    RETURN_IF_ERROR(budget_.CheckText(out_->size()));
    if (value.is(Kind::kString)) {
      RETURN_IF_ERROR(budget_.ChargeText(value.string().size()));
      if (value.is_markup()) out_->append("Markup(");
      AppendRepr(value.string(), out_);
      if (value.is_markup()) out_->append(")");
      return absl::OkStatus();
    }
    if (value.is(Kind::kUndefined)) {
      out_->append("Undefined");
      return absl::OkStatus();
    }
    if (value.is(Kind::kList)) return PrintList(value);
    if (value.is(Kind::kDict)) return PrintDict(value.dict());
    ASSIGN_OR_RETURN(const std::string text, ToText(value, budget_));
    out_->append(text);
    return absl::OkStatus();
  }

 private:
  Status PrintList(const Value& value) {
    static constexpr std::string_view kOpen[] = {
        "[", "(", "range(", "dict_items([", "dict_keys([", "dict_values(["};
    static constexpr std::string_view kClose[] = {"]", ")", ")", "])", "])", "])"};
    const Sequence sequence = value.sequence();
    if (sequence == Sequence::kGenerator || sequence == Sequence::kRange)
      return absl::InvalidArgumentError(StrCat("prints ", value.kind_name(), "; make a list of it first"));
    const auto kind = static_cast<size_t>(sequence);
    out_->append(kOpen[kind]);
    for (size_t i = 0; i < value.list().size(); ++i) {
      if (i > 0) out_->append(", ");
      RETURN_IF_ERROR(Print(value.list()[i]));
    }
    if (sequence == Sequence::kTuple && value.list().size() == 1) out_->append(",");
    out_->append(kClose[kind]);
    return absl::OkStatus();
  }

  Status PrintDict(const Dict& dict) {
    out_->append("{");
    for (size_t i = 0; i < dict.entries.size(); ++i) {
      if (i > 0) out_->append(", ");
      AppendRepr(dict.entries[i].first, out_);
      out_->append(": ");
      RETURN_IF_ERROR(Print(dict.entries[i].second));
    }
    out_->append("}");
    return absl::OkStatus();
  }

  Budget& budget_;
  std::string* out_;
};

void AppendJsonString(std::string_view text, bool ascii, std::string* out) {
  static constexpr std::string_view kNamed = "\b\f\n\r\t\"\\";
  static constexpr std::string_view kLetters = "bfnrt\"\\";
  out->push_back('"');
  for (size_t at = 0; at < text.size();) {
    const tokenizer::Utf8Char character = tokenizer::ReadUtf8(text, at);
    const auto code = static_cast<uint32_t>(character.code);
    const size_t named = code < 0x80 ? kNamed.find(static_cast<char>(code)) : std::string_view::npos;
    if (named != std::string_view::npos) {
      out->push_back('\\');
      out->push_back(kLetters[named]);
    } else if (code < 0x20 || (ascii && code > 0x7E && code < 0x10000)) {
      out->append(fmt::format("\\u{:04x}", code));
    } else if (ascii && code >= 0x10000) {
      out->append(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10),
                              0xDC00 + ((code - 0x10000) & 0x3FF)));
    } else {
      out->append(text.substr(at, character.length));
    }
    at += character.length;
  }
  out->push_back('"');
}

std::string JsonFloat(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return FloatText(value);
}

class JsonPrinter {
 public:
  JsonPrinter(const JsonStyle& style, Budget& budget, std::string* out)
      : style_(style), budget_(budget), out_(out) {}

  Status Print(const Value& value, int level) {
    RETURN_IF_ERROR(budget_.Charge(value.is(Kind::kString) ? value.weight() : 1));
    RETURN_IF_ERROR(budget_.CheckText(out_->size()));
    switch (value.kind()) {
      case Kind::kNone: out_->append("null"); return absl::OkStatus();
      case Kind::kBool: out_->append(value.bool_value() ? "true" : "false"); return absl::OkStatus();
      case Kind::kInt: StrAppend(out_, value.int_value()); return absl::OkStatus();
      case Kind::kFloat: out_->append(JsonFloat(value.float_value())); return absl::OkStatus();
      case Kind::kString: AppendJsonString(value.string(), style_.ascii, out_); return absl::OkStatus();
      case Kind::kDict: return PrintDict(value.dict(), level);
      case Kind::kList:
        if (value.sequence() != Sequence::kList && value.sequence() != Sequence::kTuple) break;
        return PrintList(value.list(), level);
      default: break;
    }
    return absl::InvalidArgumentError(StrCat("cannot write ", value.kind_name(), " as JSON"));
  }

 private:
  void NewLine(int level) {
    if (!style_.pretty) return;
    out_->push_back('\n');
    for (int i = 0; i < level; ++i) out_->append(style_.indent);
  }

  Status PrintList(const List& items, int level) {
    out_->push_back('[');
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_->append(style_.item_separator);
      NewLine(level + 1);
      RETURN_IF_ERROR(Print(items[i], level + 1));
    }
    if (!items.empty()) NewLine(level);
    out_->push_back(']');
    return absl::OkStatus();
  }

  Status PrintDict(const Dict& dict, int level) {
    std::vector<const std::pair<std::string, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys) {
      std::sort(entries.begin(), entries.end(),
                [](const auto* a, const auto* b) { return a->first < b->first; });
    }
    out_->push_back('{');
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_->append(style_.item_separator);
      NewLine(level + 1);
      AppendJsonString(entries[i]->first, style_.ascii, out_);
      out_->append(style_.key_separator);
      RETURN_IF_ERROR(Print(entries[i]->second, level + 1));
    }
    if (!entries.empty()) NewLine(level);
    out_->push_back('}');
    return absl::OkStatus();
  }

  const JsonStyle& style_;
  Budget& budget_;
  std::string* out_;
};

}  // namespace

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value, std::chars_format::scientific).ptr;
  const std::string_view written(buffer, static_cast<size_t>(end - buffer));
  const size_t e = written.find('e');
  int exponent = 0;
  const size_t sign = written[e + 1] == '+' ? 1 : 0;
  std::from_chars(buffer + e + 1 + sign, end, exponent);
  if (exponent < -4 || exponent >= 16)
    return std::string(written);  // The exponent has two digits at least, as Python's.
  std::string digits;
  for (const char c : written.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  const std::string minus = written[0] == '-' ? "-" : "";
  if (exponent < 0) return minus + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return minus + digits + std::string(whole - digits.size(), '0') + ".0";
  return minus + digits.substr(0, whole) + "." + digits.substr(whole);
}

StatusOr<std::string> ToText(const Value& value, Budget& budget) {
  switch (value.kind()) {
    case Kind::kUndefined: return std::string();
    case Kind::kNone: return std::string("None");
    case Kind::kBool: return std::string(value.bool_value() ? "True" : "False");
    case Kind::kInt: return StrCat(value.int_value());
    case Kind::kFloat: return FloatText(value.float_value());
    case Kind::kString: return value.string();
    case Kind::kList:
    case Kind::kDict: {
      std::string out;
      RETURN_IF_ERROR(ReprPrinter(budget, &out).Print(value));
      return out;
    }
    default: return absl::InvalidArgumentError(StrCat("prints ", value.kind_name()));
  }
}

StatusOr<std::string> ToJsonText(const Value& value, const JsonStyle& style, Budget& budget) {
  std::string out;
  RETURN_IF_ERROR(JsonPrinter(style, budget, &out).Print(value, 0));
  return out;
}

}  // namespace ft::data::jinja
