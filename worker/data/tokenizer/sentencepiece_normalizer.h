// What SentencePiece does to a text before it cuts it (its Normalizer): characters replaced by the model's map,
// superfluous spaces left out, a space put in front (the dummy prefix), and spaces written as U+2581.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/data/tokenizer/byte_trie.h"
#include "worker/data/tokenizer/charsmap.h"
#include "worker/data/tokenizer/text_places.h"

namespace ft::tokenizer {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581.

// Immutable and thread-safe.
struct SentencePieceNormalizer {
  std::shared_ptr<const Charsmap> charsmap;      // Null = characters stay what they are.
  std::shared_ptr<const ByteTrie> user_defined;  // Pieces that the map leaves alone. May be null.
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;

  // Writes the changed text, and with `map` the way back; false = the text stays as it is. REQUIRES: source is UTF-8.
  // RESOURCE_EXHAUSTED when the text would become longer than LongestChange.
  StatusOr<bool> Apply(std::string_view source, std::string* out, OffsetMap* map) const;
};

}  // namespace ft::tokenizer
