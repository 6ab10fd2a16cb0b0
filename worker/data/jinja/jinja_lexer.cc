#include "worker/data/jinja/jinja_lexer.h"

#include <charconv>
#include <cstdlib>
#include <optional>

#include "worker/data/jinja/jinja_text.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::data::jinja {
namespace {

using Kind = Token::Kind;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsNameStart(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

std::string NormaliseNewlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
      continue;
    }
    out.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  // Jinja drops one newline at the end of a template.
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormaliseNewlines(source)) {}

  StatusOr<std::vector<Token>> Run() {
    while (pos_ < source_.size()) {
      const size_t open = FindOpening();
      AddText(open);
      if (open == source_.size()) break;
      RETURN_IF_ERROR(ReadConstruct());
    }
    Add(Kind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  void Add(Kind kind, std::string text) {
    tokens_.push_back({.kind = kind, .text = std::move(text), .line = line_});
  }
  std::string_view Rest() const { return std::string_view(source_).substr(pos_); }
  bool At(std::string_view text) const { return Rest().starts_with(text); }

  bool IsSign(size_t at) const { return at < source_.size() && (source_[at] == '-' || source_[at] == '+'); }

  void Advance(size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) line_ += source_[pos_ + i] == '\n' ? 1 : 0;
    pos_ += bytes;
  }

  size_t FindOpening() const {
    for (size_t at = source_.find('{', pos_); at != std::string::npos; at = source_.find('{', at + 1)) {
      const char next = at + 1 < source_.size() ? source_[at + 1] : '\0';
      if (next == '{' || next == '%' || next == '#') return at;
    }
    return source_.size();
  }

  // The text before the construct at `open`, less what the construct's sign or lstrip_blocks takes away.
  void AddText(size_t open) {
    std::string_view text = std::string_view(source_).substr(pos_, open - pos_);
    const bool is_output = source_.compare(open, 2, "{{") == 0;
    const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
    if (open == source_.size()) {
      // Nothing follows that could take white space away.
    } else if (sign == '-') {
      text = StripRight(text);
    } else if (sign != '+' && !is_output) {
      const size_t newline = text.rfind('\n');
      const size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
      const bool at_line_start = newline != std::string_view::npos || line_starting_;
      if (at_line_start && StripLeft(text.substr(line_start)).empty()) text = text.substr(0, line_start);
    }
    if (!text.empty()) Add(Kind::kText, std::string(text));
    Advance(open - pos_);
  }

  Status ReadConstruct() {
    const char kind = source_[pos_ + 1];
    const int opened_at = line_;
    Advance(2);
    const size_t sign = At("-") || At("+") ? 1 : 0;
    if (kind == '%' && RawTagSize(pos_ + sign, "raw")) return ReadRaw(opened_at, sign);
    Advance(sign);
    if (kind == '#') return SkipComment(opened_at);
    Add(kind == '{' ? Kind::kOutputBegin : Kind::kTagBegin, "");
    open_brackets_.clear();
    const std::string_view end = kind == '{' ? "}}" : "%}";
    while (true) {
      SkipSpace();
      if (pos_ >= source_.size()) {
        return TemplateError(opened_at, StrCat(kind == '{' ? "{{" : "{%", " is never closed"));
      }
      if (open_brackets_.empty() && AtEnd(end)) break;
      RETURN_IF_ERROR(ReadToken());
    }
    Add(kind == '{' ? Kind::kOutputEnd : Kind::kTagEnd, "");
    SkipEnd(end, /*trims_newline=*/kind == '%');
    return absl::OkStatus();
  }

  bool AtEnd(std::string_view end) const {
    return At(end) || ((At("-") || (end == "%}" && At("+"))) && Rest().substr(1).starts_with(end));
  }

  // The size of `raw -%}` with white space around it, where it stands there.
  std::optional<size_t> RawTagSize(size_t at, std::string_view word) const {
    const std::string_view rest = std::string_view(source_).substr(at);
    std::string_view left = StripLeft(rest);
    if (!left.starts_with(word)) return std::nullopt;
    left = StripLeft(left.substr(word.size()));
    for (const std::string_view end : {"%}", "-%}", "+%}"}) {
      if (left.starts_with(end)) return rest.size() - left.size();
    }
    return std::nullopt;
  }

  // Everything up to {% endraw %} is text. The place is behind `{%`, before `sign`.
  Status ReadRaw(int opened_at, size_t sign) {
    Advance(sign + *RawTagSize(pos_ + sign, "raw"));
    SkipEnd("%}", /*trims_newline=*/false);
    for (size_t at = source_.find("{%", pos_); at != std::string::npos; at = source_.find("{%", at + 1)) {
      const size_t signed_at = at + 2 + (IsSign(at + 2) ? 1 : 0);
      const std::optional<size_t> size = RawTagSize(signed_at, "endraw");
      if (!size) continue;
      AddText(at);
      Advance(signed_at - at + *size);
      SkipEnd("%}", /*trims_newline=*/true);
      return absl::OkStatus();
    }
    return TemplateError(opened_at, "{% raw %} is never closed");
  }

  // Skips the closing mark and the white space that it takes along.
  void SkipEnd(std::string_view end, bool trims_newline) {
    const bool minus = At("-");
    const bool plus = At("+");
    Advance(end.size() + (minus || plus ? 1 : 0));
    const size_t before = pos_;
    if (minus) {
      SkipSpace();
    } else if (trims_newline && !plus && At("\n")) {
      Advance(1);
    }
    line_starting_ = pos_ > before && source_[pos_ - 1] == '\n';
  }

  Status SkipComment(int opened_at) {
    const size_t close = source_.find("#}", pos_);
    if (close == std::string::npos) return TemplateError(opened_at, "{# is never closed");
    const bool signed_end = close > pos_ && (source_[close - 1] == '-' || source_[close - 1] == '+');
    Advance(close - pos_ - (signed_end ? 1 : 0));
    SkipEnd("#}", /*trims_newline=*/true);
    return absl::OkStatus();
  }

  void SkipSpace() { Advance(Rest().size() - StripLeft(Rest()).size()); }

  Status ReadToken() {
    const char c = source_[pos_];
    if (c == '\'' || c == '"') return ReadString(c);
    if (IsDigit(c)) return ReadNumber();
    if (IsNameStart(c)) {
      size_t size = 1;
      while (size < Rest().size() && (IsNameStart(Rest()[size]) || IsDigit(Rest()[size]))) ++size;
      Add(Kind::kName, std::string(Rest().substr(0, size)));
      Advance(size);
      return absl::OkStatus();
    }
    return ReadOperator();
  }

  Status ReadOperator() {
    for (const std::string_view op : {"//", "**", "==", "!=", ">=", "<="}) {
      if (!At(op)) continue;
      Add(Kind::kOperator, std::string(op));
      Advance(2);
      return absl::OkStatus();
    }
    const char c = source_[pos_];
    if (std::string_view("+-/*%~[](){}><=.:|,").find(c) == std::string_view::npos) {
      return TemplateError(line_, StrCat("unexpected character \"",
                                         Rest().substr(0, tokenizer::ReadUtf8(Rest(), 0).length), "\""));
    }
    RETURN_IF_ERROR(TrackBracket(c));
    Add(Kind::kOperator, std::string(1, c));
    Advance(1);
    return absl::OkStatus();
  }

  Status TrackBracket(char c) {
    if (c == '(' || c == '[' || c == '{') open_brackets_.push_back(c);
    if (c != ')' && c != ']' && c != '}') return absl::OkStatus();
    const char open = c == ')' ? '(' : c == ']' ? '[' : '{';
    if (open_brackets_.empty() || open_brackets_.back() != open) {
      return TemplateError(line_, StrCat("unexpected \"", std::string(1, c), "\""));
    }
    open_brackets_.pop_back();
    return absl::OkStatus();
  }

  // Digits with single underscores between them.
  size_t DigitRun(size_t at, bool (*is_digit)(char)) const {
    size_t size = 0;
    const auto digit_at = [&](size_t i) { return i < source_.size() && is_digit(source_[i]); };
    while (digit_at(at + size) ||
           (size > 0 && at + size < source_.size() && source_[at + size] == '_' && digit_at(at + size + 1))) {
      ++size;
    }
    return size;
  }

  static std::string WithoutUnderscores(std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (c != '_') out += c;
    }
    return out;
  }

  // The length of the number at the place, when it is a float.
  size_t FloatSize() const {
    if (pos_ > 0 && source_[pos_ - 1] == '.') return 0;  // As in messages.0.role.
    const size_t whole = DigitRun(pos_, IsDigit);
    size_t size = whole;
    if (pos_ + size < source_.size() && source_[pos_ + size] == '.') {
      const size_t fraction = DigitRun(pos_ + size + 1, IsDigit);
      if (fraction > 0) size += 1 + fraction;
    }
    if (pos_ + size < source_.size() && (source_[pos_ + size] == 'e' || source_[pos_ + size] == 'E')) {
      const size_t sign = IsSign(pos_ + size + 1) ? 1 : 0;
      const size_t exponent = DigitRun(pos_ + size + 1 + sign, IsDigit);
      if (exponent > 0) size += 1 + sign + exponent;
    }
    return size == whole ? 0 : size;
  }

  Status ReadNumber() {
    if (const size_t size = FloatSize(); size > 0) {
      const std::string text = WithoutUnderscores(Rest().substr(0, size));
      Token token{.kind = Kind::kFloat, .text = text, .line = line_};
      token.number = std::strtod(text.c_str(), nullptr);  // Beyond the range infinity or zero, as in Python.
      tokens_.push_back(std::move(token));
      Advance(size);
      return absl::OkStatus();
    }
    return ReadInteger();
  }

  Status ReadInteger() {
    int base = 10;
    if (At("0x") || At("0X")) base = 16;
    if (At("0o") || At("0O")) base = 8;
    if (At("0b") || At("0B")) base = 2;
    const size_t prefix = base == 10 ? 0 : 2;
    const size_t size = DigitRun(
        pos_ + prefix, [](char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
    const size_t decimal = DigitRun(pos_, IsDigit);
    const std::string digits = WithoutUnderscores(Rest().substr(prefix, base == 10 ? decimal : size));
    Token token{.kind = Kind::kInteger, .text = digits, .line = line_};
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), token.integer, base);
    if (parsed.ec == std::errc::result_out_of_range)
      return TemplateError(line_, StrCat("the number ", digits, " is too large"));
    if (parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size())
      return TemplateError(line_, "a number is broken");
    tokens_.push_back(std::move(token));
    Advance(prefix + (base == 10 ? decimal : size));
    return absl::OkStatus();
  }

  Status ReadString(char quote) {
    const int opened_at = line_;
    std::string value;
    size_t at = pos_ + 1;
    while (at < source_.size() && source_[at] != quote) {
      if (source_[at] != '\\') {
        value.push_back(source_[at++]);
        continue;
      }
      RETURN_IF_ERROR(ReadEscape(&at, &value));
    }
    if (at >= source_.size()) return TemplateError(opened_at, "a string is never closed");
    Add(Kind::kString, std::move(value));
    Advance(at + 1 - pos_);
    return absl::OkStatus();
  }

  // Python's escapes; *at is at the backslash and moves behind the escape.
  Status ReadEscape(size_t* at, std::string* value) {
    if (*at + 1 >= source_.size()) return TemplateError(line_, "a string is never closed");
    const char kind = source_[*at + 1];
    *at += 2;
    static constexpr std::string_view kNames = "nrtabfv\\'\"";
    static constexpr std::string_view kValues = "\n\r\t\a\b\f\v\\'\"";
    if (const size_t known = kNames.find(kind); known != std::string_view::npos) {
      value->push_back(kValues[known]);
      return absl::OkStatus();
    }
    if (kind == '\n') return absl::OkStatus();
    const size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    if (digits == 0) {
      if (kind >= '0' && kind <= '7') {
        ReadOctal(at, value);
        return absl::OkStatus();
      }
      value->push_back('\\');
      value->push_back(kind);
      return absl::OkStatus();
    }
    const std::string_view text = std::string_view(source_).substr(*at, digits);
    uint32_t code = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), code, 16);
    if (text.size() != digits || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
        code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      return TemplateError(line_, "a string holds an escape that is no character");
    }
    tokenizer::AppendUtf8(code, value);
    *at += digits;
    return absl::OkStatus();
  }

  // Up to three octal digits; *at is behind the first.
  void ReadOctal(size_t* at, std::string* value) const {
    uint32_t code = static_cast<uint32_t>(source_[*at - 1] - '0');
    for (int more = 0; more < 2 && *at < source_.size() && source_[*at] >= '0' && source_[*at] <= '7';
         ++more) {
      code = code * 8 + static_cast<uint32_t>(source_[(*at)++] - '0');
    }
    tokenizer::AppendUtf8(code, value);
  }

  const std::string source_;
  size_t pos_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // The construct before ended with a newline, or this is the beginning.
  std::string open_brackets_;
  std::vector<Token> tokens_;
};

}  // namespace

StatusOr<std::vector<Token>> Tokenize(std::string_view source) { return Lexer(source).Run(); }

Status TemplateError(int line, std::string_view what) {
  return absl::InvalidArgumentError(StrCat("line ", line, ": ", what));
}

}  // namespace ft::data::jinja
