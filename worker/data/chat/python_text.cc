#include "worker/data/chat/python_text.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "worker/data/jinja/jinja_json.h"
#include "worker/data/jinja/jinja_print.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::data {
namespace {

using Json = nlohmann::ordered_json;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameChar(char c) { return IsDigit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// One character after a backslash that stands for one byte; nothing for the others.
std::optional<char> SimpleEscape(char c) {
  constexpr std::string_view kNames = "\\'\"abfnrtv", kBytes = "\\'\"\a\b\f\n\r\t\v";
  const size_t at = kNames.find(c);
  return at == std::string_view::npos ? std::nullopt : std::optional<char>(kBytes[at]);
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  StatusOr<Json> Whole() {
    ASSIGN_OR_RETURN(Json value, Value(1));
    SkipSpace();
    if (pos_ < text_.size()) return Error("there is more after the value");
    return value;
  }

 private:
  Status Error(std::string_view why) const {
    return absl::InvalidArgumentError(StrCat(why, " (after ", pos_, " bytes)"));
  }
  char Peek(size_t ahead = 0) const { return pos_ + ahead < text_.size() ? text_[pos_ + ahead] : '\0'; }
  bool Take(char c) {
    SkipSpace();
    if (Peek() != c || pos_ >= text_.size()) return false;
    ++pos_;
    return true;
  }
  void SkipSpace() {
    while (pos_ < text_.size() && std::string_view(" \t\n\r\f").find(text_[pos_]) != std::string_view::npos)
      ++pos_;
  }

  StatusOr<Json> Value(int depth) {
    if (depth > kMaxLiteralDepth) return Error(StrCat("nested deeper than ", kMaxLiteralDepth, " levels"));
    SkipSpace();
    if (pos_ >= text_.size()) return Error("a value is missing");
    if (Take('[')) return List(']', depth);
    if (Take('(')) return Tuple(depth);
    if (Take('{')) return Dictionary(depth);
    if (BeginsText()) return Text();
    const char c = Peek();
    if (IsDigit(c) || c == '-' || c == '+' || c == '.') return Number();
    return Name();
  }

  StatusOr<Json> List(char close, int depth) {
    Json list = Json::array();
    while (!Take(close)) {
      if (!list.empty() && !Take(',')) return Error("a comma is missing in a list");
      if (!list.empty() && Take(close)) break;
      ASSIGN_OR_RETURN(Json item, Value(depth + 1));
      list.push_back(std::move(item));
    }
    return list;
  }

  // Parentheses around one value without a comma are that value.
  StatusOr<Json> Tuple(int depth) {
    const size_t begin = pos_;
    if (Take(')')) return Json(Json::array());
    ASSIGN_OR_RETURN(Json first, Value(depth + 1));
    if (Take(')')) return first;
    pos_ = begin;
    return List(')', depth);
  }

  StatusOr<Json> Dictionary(int depth) {
    Json object = Json::object();
    for (bool first = true; !Take('}'); first = false) {
      if (!first && !Take(',')) return Error("a comma is missing in a dictionary");
      if (!first && Take('}')) break;
      SkipSpace();
      if (!BeginsText()) return Error("a key of a dictionary is no text");
      ASSIGN_OR_RETURN(const Json key, Text());
      if (!Take(':')) return Error("a colon is missing after a key");
      ASSIGN_OR_RETURN(Json value, Value(depth + 1));
      object[key.get_ref<const std::string&>()] = std::move(value);
    }
    return object;
  }

  StatusOr<Json> Name() {
    size_t end = pos_;
    while (end < text_.size() && IsNameChar(text_[end])) ++end;
    const std::string_view name = text_.substr(pos_, end - pos_);
    if (name != "True" && name != "False" && name != "None") return Error("this is no Python literal");
    pos_ = end;
    return name == "None" ? Json() : Json(name == "True");
  }

  StatusOr<Json> Number() {
    const size_t begin = pos_;
    bool negative = false;
    for (; Peek() == '-' || Peek() == '+'; ++pos_) negative ^= Peek() == '-';
    std::string digits = negative ? "-" : "";
    bool whole = true;
    const size_t first = pos_;
    for (; IsDigit(Peek()) || std::string_view("._eE+-").find(Peek()) != std::string_view::npos; ++pos_) {
      if (pos_ >= text_.size()) break;
      const char c = Peek();
      if ((c == '+' || c == '-') && text_[pos_ - 1] != 'e' && text_[pos_ - 1] != 'E') break;
      if (c == '_') {
        if (pos_ == first || !IsDigit(text_[pos_ - 1]) || !IsDigit(Peek(1))) break;
        continue;
      }
      whole = whole && IsDigit(c);
      digits += c;
    }
    const std::string_view read(digits);
    const char* end = read.data() + read.size();
    const size_t after_sign = negative ? 1 : 0;
    const bool leading_zero = whole && read.size() > after_sign + 1 && read[after_sign] == '0' &&
                              read.find_first_not_of('0', after_sign) != std::string_view::npos;
    int64_t integer = 0;
    double fraction = 0;
    const auto [stop, error] =
        whole ? std::from_chars(read.data(), end, integer) : std::from_chars(read.data(), end, fraction);
    if (error != std::errc() || stop != end || leading_zero || IsNameChar(Peek())) {
      pos_ = begin;
      return Error("this is no number that is read");
    }
    return whole ? Json(integer) : Json(fraction);
  }

  // A quote, or r or u before one.
  bool BeginsText() const {
    const char c = Peek();
    const bool prefixed = c == 'r' || c == 'R' || c == 'u' || c == 'U';
    const char quote = prefixed ? Peek(1) : c;
    return quote == '\'' || quote == '"';
  }

  StatusOr<Json> Text() {
    std::string text;
    do {
      RETURN_IF_ERROR(OneText(&text));
      SkipSpace();
    } while (BeginsText());
    return Json(std::move(text));
  }

  Status OneText(std::string* out) {
    const bool raw = Peek() == 'r' || Peek() == 'R';
    if (Peek() != '\'' && Peek() != '"') ++pos_;
    const char quote = Peek();
    const bool triple = Peek(1) == quote && Peek(2) == quote;
    pos_ += triple ? 3 : 1;
    while (pos_ < text_.size()) {
      const char c = text_[pos_];
      if (c == quote && (!triple || (Peek(1) == quote && Peek(2) == quote))) {
        pos_ += triple ? 3 : 1;
        return absl::OkStatus();
      }
      if (c == '\n' && !triple) break;
      if (c == '\\' && raw) {
        *out += c;
        if (++pos_ < text_.size()) *out += text_[pos_++];
      } else if (c == '\\') {
        ++pos_;
        RETURN_IF_ERROR(Escape(out));
      } else {
        *out += c;
        ++pos_;
      }
    }
    return Error("a text does not end");
  }

  // What follows a backslash.
  Status Escape(std::string* out) {
    if (pos_ >= text_.size()) return Error("a text does not end");
    const char c = text_[pos_];
    if (c == '\n') {  // The line goes on.
      ++pos_;
      return absl::OkStatus();
    }
    if (const std::optional<char> byte = SimpleEscape(c)) {
      *out += *byte;
      ++pos_;
      return absl::OkStatus();
    }
    if (c == 'x' || c == 'u' || c == 'U') {
      ++pos_;
      return Code(c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, out);
    }
    if (c >= '0' && c <= '7') {
      size_t digits = 1;
      while (digits < 3 && Peek(digits) >= '0' && Peek(digits) <= '7') ++digits;
      return Code(digits, 8, out);
    }
    if (c == 'N') return Error("characters by name (\\N) are not read");
    *out += '\\';  // Python leaves those that it does not know.
    return absl::OkStatus();
  }

  Status Code(size_t digits, int base, std::string* out) {
    uint32_t code = 0;
    if (pos_ + digits > text_.size()) return Error("an escape is cut off");
    const char* begin = text_.data() + pos_;
    const auto [stop, error] = std::from_chars(begin, begin + digits, code, base);
    if (error != std::errc() || stop != begin + digits) return Error("an escape has other digits");
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return Error("an escape is no character");
    pos_ += digits;
    tokenizer::AppendUtf8(code, out);
    return absl::OkStatus();
  }

  std::string_view text_;
  size_t pos_ = 0;
};

}  // namespace

StatusOr<Json> ParsePythonLiteral(std::string_view text) { return Parser(text).Whole(); }

StatusOr<std::string> PythonText(const Json& value) {
  const JinjaLimits limits;
  jinja::Budget budget(limits);
  ASSIGN_OR_RETURN(const jinja::Value converted, jinja::FromJson(value));
  return jinja::ToText(converted, budget);
}

}  // namespace ft::data
