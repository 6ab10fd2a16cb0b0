// A strict look at one JSON object: its members as they are written, or the place of what is wrong, in words
// for people. Numbers are never converted, so none loses a digit.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/data/readers/record.h"

namespace ft::data {

struct JsonMember {
  std::string key;
  FieldKind kind = FieldKind::kText;
  std::string_view raw;  // The value as it is written.
};

struct JsonFault {
  size_t offset = 0;  // Offset of the byte where it shows.
  std::string why;
};

// Fills `members` in order. A key twice in one object is a fault, however deep; so are more than
// kMaxJsonDepth levels.
std::optional<JsonFault> ScanObject(std::string_view text, std::vector<JsonMember>* members);

// The text that a string literal of JSON (with its quotes) stands for. REQUIRES: ScanObject found no fault in
// it.
std::string JsonText(std::string_view raw);

}  // namespace ft::data
