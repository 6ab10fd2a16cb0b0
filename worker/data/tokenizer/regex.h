// The regular expressions of tokenizer files, run by PCRE2 with the meaning they have in the original
// libraries.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

struct pcre2_real_code_8;

namespace ft::tokenizer {

// Immutable and thread-safe. Characters are Unicode's; \s and \S mean the property White_Space (PCRE2's own
// \s has one character more). Constructs whose meaning differs between the libraries (\w, \W, \b, \B, \h, \H,
// sets inside sets) are refused by Compile.
class Regex {
 public:
  struct Match {
    uint32_t begin, end;
  };
  static StatusOr<Regex> Compile(std::string_view pattern);
  // The non-empty matches from left to right, each searched for where the one before ended. Matching sees
  // `text` alone, not what surrounds it. REQUIRES: text is UTF-8. RESOURCE_EXHAUSTED when matching takes too
  // many steps.
  Status FindAll(std::string_view text, std::vector<Match>* matches) const;
  // As it was given to Compile.
  const std::string& pattern() const { return pattern_; }

 private:
  struct CodeDeleter {
    void operator()(pcre2_real_code_8* code) const;
  };
  Regex(pcre2_real_code_8* code, std::string_view pattern) : code_(code), pattern_(pattern) {}
  std::unique_ptr<pcre2_real_code_8, CodeDeleter> code_;
  std::string pattern_;
};

}  // namespace ft::tokenizer
