#include "worker/data/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

namespace ft::tokenizer {
namespace {

constexpr size_t kMaxPatternBytes = 1 << 16;
// Backtracking steps for one match: harmless patterns need about one for each byte, hostile ones
// exponentially many.
constexpr uint64_t kMatchLimit = 10'000'000;
constexpr uint64_t kMatchLimitPerByte = 16;
constexpr uint32_t kHeapLimitKib = 256 * 1024;
constexpr std::string_view kWhiteSpace =
    R"(\t-\r\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

struct MatchDataDeleter {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct MatchContextDeleter {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

std::string Pcre2Message(int code) {
  std::array<PCRE2_UCHAR, 256> buffer = {};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

Status Unsupported(std::string_view pattern, std::string_view construct) {
  return absl::InvalidArgumentError(
      StrCat("the pattern ", pattern, " uses ", construct, ", which is not supported in tokenizer patterns"));
}

// Writes the escape that begins at pattern[pos] with PCRE2's spelling.
Status TranslateEscape(std::string_view pattern, size_t pos, bool in_set, std::string* out) {
  if (pos + 1 == pattern.size()) return Unsupported(pattern, "a backslash at its end");
  const char kind = pattern[pos + 1];
  switch (kind) {
    case 's': StrAppend(out, in_set ? "" : "[", kWhiteSpace, in_set ? "" : "]"); return absl::OkStatus();
    case 'S':
      if (in_set) return Unsupported(pattern, "\\S inside a set");
      StrAppend(out, "[^", kWhiteSpace, "]");
      return absl::OkStatus();
    case 'w':
    case 'W':
    case 'b':
    case 'B':
    case 'h':
    case 'H':
    case 'K':
    case 'G':
    case 'Q':
    case 'C': return Unsupported(pattern, std::string("\\") + kind);
    default: out->append(pattern.substr(pos, 2)); return absl::OkStatus();
  }
}

StatusOr<std::string> Translate(std::string_view pattern) {
  std::string out;
  bool in_set = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\') {
      RETURN_IF_ERROR(TranslateEscape(pattern, i, in_set, &out));
      ++i;
      continue;
    }
    if (in_set && c == '[') return Unsupported(pattern, "a set inside a set");
    if (in_set && c == '&' && pattern.substr(i, 2) == "&&")
      return Unsupported(pattern, "an intersection of sets");
    if (!in_set && c == '(' && pattern.substr(i, 2) == "(*") return Unsupported(pattern, "a (*VERB)");
    out.push_back(c);
    if (in_set) {
      in_set = c != ']';
    } else if (c == '[') {
      in_set = true;
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') out.push_back(pattern[++i]);
      if (i + 1 < pattern.size() && pattern[i + 1] == ']')
        return Unsupported(pattern, "a set that begins with ]");
    }
  }
  return out;
}

}  // namespace

void Regex::CodeDeleter::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

StatusOr<Regex> Regex::Compile(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return absl::InvalidArgumentError(
        StrCat("a pattern of ", pattern.size(), " bytes is longer than ", kMaxPatternBytes));
  }
  ASSIGN_OR_RETURN(const std::string translated, Translate(pattern));
  int error = 0;
  PCRE2_SIZE place = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                   PCRE2_UTF | PCRE2_UCP, &error, &place, nullptr);
  if (code == nullptr) {
    return absl::InvalidArgumentError(
        StrCat("the pattern ", pattern, " is not valid: ", Pcre2Message(error)));
  }
  // Without a just-in-time compiler on this machine the interpreter runs the same pattern.
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return Regex(code);
}

Status Regex::FindAll(std::string_view text, std::vector<Match>* matches) const {
  const std::unique_ptr<pcre2_match_data, MatchDataDeleter> data(pcre2_match_data_create(1, nullptr));
  const std::unique_ptr<pcre2_match_context, MatchContextDeleter> context(
      pcre2_match_context_create(nullptr));
  if (data == nullptr || context == nullptr)
    return absl::ResourceExhaustedError("out of memory while matching a pattern");
  const uint64_t limit = std::min<uint64_t>(kMatchLimit + kMatchLimitPerByte * text.size(), UINT32_MAX);
  pcre2_set_match_limit(context.get(), static_cast<uint32_t>(limit));
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t from = 0;
  while (from < text.size()) {
    int found =
        pcre2_match(code_.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK, data.get(), context.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      // The interpreter keeps its state on the heap and has no such limit.
      found = pcre2_match(code_.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                          data.get(), context.get());
    }
    if (found == PCRE2_ERROR_NOMATCH) return absl::OkStatus();
    // 0 = more groups than the one that was asked for.
    if (found < 0)
      return absl::ResourceExhaustedError(
          StrCat("matching a tokenizer's pattern failed: ", Pcre2Message(found)));
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data.get());
    if (range[1] > range[0]) {
      matches->push_back({static_cast<uint32_t>(range[0]), static_cast<uint32_t>(range[1])});
      from = range[1];
      continue;
    }
    from = range[1] + 1;
    while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
  }
  return absl::OkStatus();
}

}  // namespace ft::tokenizer
