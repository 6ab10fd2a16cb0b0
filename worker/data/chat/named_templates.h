// The table behind ChatTemplate::Named.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ft::data {

// Placeholders {system}, {input} and {round} are replaced once; text that is filled in is not looked at
// again.
struct NamedTemplate {
  std::string_view name;
  std::string_view system;  // Empty = the template has no place for a system text.
  std::string_view instruction;
  std::string_view suffix;     // After each output, with loss.
  bool suffix_as_eos = false;  // The suffix ends the turn; no EOS follows.
  std::string_view separator;  // After each turn, without loss.
  std::vector<std::string_view> stop_words;
  bool has_bos = true;       // chatml begins without BOS whatever the tokenizer has.
  bool repeats_bos = false;  // v0.1.9: BOS at every turn; an empty input leaves out what surrounds it.
};

std::vector<NamedTemplate> AllNamedTemplates();

}  // namespace ft::data
