#include "worker/data/readers/json_scan.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/excerpt.h"
#include "worker/data/readers/json_values.h"

namespace ft::data {
namespace {

// What other languages write where JSON wants a value.
struct Foreign {
  std::string_view word, advice;
};
constexpr std::array<Foreign, 10> kForeign = {{{"NaN", "write null, or leave the key out"},
                                               {"nan", "write null, or leave the key out"},
                                               {"Infinity", "write null or a text"},
                                               {"-Infinity", "write null or a text"},
                                               {"inf", "write null or a text"},
                                               {"-inf", "write null or a text"},
                                               {"None", "JSON writes null"},
                                               {"True", "JSON writes true"},
                                               {"False", "JSON writes false"},
                                               {"undefined", "write null, or leave the key out"}}};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsHex(char c) { return IsDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::optional<JsonFault> Scan(std::vector<JsonMember>* members) {
    SkipSpace();
    if (!Object(members)) return std::move(fault_);
    SkipSpace();
    if (pos_ < text_.size()) Fail("text follows the record");
    return std::move(fault_);
  }

 private:
  bool Fail(std::string why) {
    fault_ = {pos_, std::move(why)};
    return false;
  }
  char At(size_t pos) const { return pos < text_.size() ? text_[pos] : '\0'; }
  void SkipSpace() {
    while (pos_ < text_.size() && std::string_view(" \t\r\n").find(text_[pos_]) != std::string_view::npos)
      ++pos_;
  }
  // What stands here up to white space or punctuation.
  std::string_view Word() const {
    const size_t end = text_.find_first_of(" \t\r\n,:{}[]\"", pos_);
    return text_.substr(pos_, end == std::string_view::npos ? end : end - pos_);
  }

  // `members` may be null: nobody asks for them.
  bool Object(std::vector<JsonMember>* members) {
    if (At(pos_) != '{') return Fail("a record must begin with {");
    if (++depth_ > kMaxJsonDepth) return Fail("it is nested more than 64 levels deep");
    ++pos_;
    std::set<std::string> keys;
    SkipSpace();
    bool first = true;
    while (At(pos_) != '}') {
      if (!first && !Comma('}')) return false;
      first = false;
      const size_t begin = pos_;
      if (!Key()) return false;
      JsonMember member{.key = JsonText(text_.substr(begin, pos_ - begin))};
      if (!keys.insert(member.key).second) {
        pos_ = begin;
        return Fail(StrCat("key \"", Excerpt(member.key), "\" stands twice; keep one"));
      }
      SkipSpace();
      if (At(pos_) != ':') return Fail("a colon is missing between a key and its value");
      ++pos_;
      SkipSpace();
      const size_t value = pos_;
      if (!Value(&member.kind)) return false;
      member.raw = text_.substr(value, pos_ - value);
      if (members != nullptr) members->push_back(std::move(member));
      SkipSpace();
    }
    ++pos_;
    --depth_;
    return true;
  }

  bool Array() {
    if (++depth_ > kMaxJsonDepth) return Fail("it is nested more than 64 levels deep");
    ++pos_;
    SkipSpace();
    bool first = true;
    while (At(pos_) != ']') {
      if (!first && !Comma(']')) return false;
      first = false;
      FieldKind ignored{};
      if (!Value(&ignored)) return false;
      SkipSpace();
    }
    ++pos_;
    --depth_;
    return true;
  }

  // A comma and what may not follow it.
  bool Comma(char closing) {
    if (pos_ >= text_.size()) return Fail("it ends too early");
    if (text_[pos_] != ',') return Fail("a comma is missing between two entries");
    ++pos_;
    SkipSpace();
    if (At(pos_) == closing)
      return Fail(StrCat("a comma stands before the closing ", std::string(1, closing), "; remove it"));
    return true;
  }

  bool Key() {
    if (At(pos_) == '"') return String();
    if (At(pos_) == '\'') return Fail("keys stand in double quotes in JSON, not in single ones");
    return Fail(StrCat("\"", Excerpt(Word()), "\" stands where a key in double quotes belongs"));
  }

  bool Value(FieldKind* kind) {
    const char c = At(pos_);
    if (c == '"') {
      *kind = FieldKind::kText;
      return String();
    }
    if (c == '{' || c == '[') {
      *kind = FieldKind::kNested;
      return c == '{' ? Object(nullptr) : Array();
    }
    if (c == '\'') return Fail("texts stand in double quotes in JSON, not in single ones");
    const std::string_view word = Word();
    if (word == "true" || word == "false" || word == "null") {
      *kind = word == "null" ? FieldKind::kNull : FieldKind::kBool;
      pos_ += word.size();
      return true;
    }
    for (const Foreign& foreign : kForeign) {
      if (word == foreign.word) return Fail(StrCat(word, " is no JSON; ", foreign.advice));
    }
    *kind = FieldKind::kNumber;
    return Number(word);
  }

  bool Number(std::string_view word) {
    size_t i = word.starts_with('-') ? 1 : 0;
    const auto digits = [&] {
      const size_t begin = i;
      while (i < word.size() && IsDigit(word[i])) ++i;
      return i > begin;
    };
    const size_t whole = i;
    bool good = digits() && (word[whole] != '0' || i == whole + 1);
    if (good && i < word.size() && word[i] == '.') {
      ++i;
      good = digits();
    }
    if (good && i < word.size() && (word[i] == 'e' || word[i] == 'E')) {
      ++i;
      if (i < word.size() && (word[i] == '+' || word[i] == '-')) ++i;
      good = digits();
    }
    if (!good || i != word.size()) {
      if (word.empty()) return Fail("a value is missing");
      return Fail(StrCat("\"", Excerpt(word), "\" is no JSON value; put quotes around a text"));
    }
    pos_ += word.size();
    return true;
  }

  bool String() {
    for (++pos_;; ++pos_) {
      if (pos_ >= text_.size()) return Fail("a text is not closed");
      const char c = text_[pos_];
      if (c == '"') break;
      if (static_cast<unsigned char>(c) < 0x20) {
        return Fail(StrCat(c == '\t' ? "a tab" : "a control character", " stands in a text; write it as ",
                           c == '\t' ? "\\t" : "an escape such as \\n"));
      }
      if (c == '\\' && !Escape()) return false;
    }
    ++pos_;
    return true;
  }

  // At the backslash; leaves pos_ on the escape's last character.
  bool Escape() {
    const char c = At(pos_ + 1);
    if (c != 'u') {
      if (c == '\0' || std::string_view("\"\\/bfnrt").find(c) == std::string_view::npos)
        return Fail(StrCat("\"", Excerpt(text_.substr(pos_), 2),
                           "\" is no escape of JSON; a backslash is written \\\\"));
      ++pos_;
      return true;
    }
    const int unit = Unit(pos_);
    if (unit < 0) return Fail("\\u is followed by four hexadecimal digits in JSON");
    pos_ += 5;
    if (unit < 0xD800 || unit > 0xDFFF) return true;
    const int low = unit < 0xDC00 ? Unit(pos_ + 1) : -1;
    if (low < 0xDC00 || low > 0xDFFF) return Fail("a \\u escape is half of a character that needs two");
    pos_ += 6;
    return true;
  }

  // The number of the `\uXXXX` at `pos`, or -1.
  int Unit(size_t pos) const {
    if (At(pos) != '\\' || At(pos + 1) != 'u' || pos + 6 > text_.size()) return -1;
    const std::string hex(text_.substr(pos + 2, 4));
    if (!std::all_of(hex.begin(), hex.end(), IsHex)) return -1;
    return std::stoi(hex, nullptr, 16);
  }

  std::string_view text_;
  size_t pos_ = 0;
  int depth_ = 0;
  std::optional<JsonFault> fault_;
};

}  // namespace

std::optional<JsonFault> ScanObject(std::string_view text, std::vector<JsonMember>* members) {
  return Scanner(text).Scan(members);
}

std::string JsonText(std::string_view raw) {
  const std::string_view inside = raw.substr(1, raw.size() - 2);
  if (inside.find('\\') == std::string_view::npos) return std::string(inside);
  const nlohmann::json parsed = nlohmann::json::parse(raw, nullptr, /*allow_exceptions=*/false);
  return parsed.is_string() ? parsed.get<std::string>() : std::string(inside);
}

}  // namespace ft::data
