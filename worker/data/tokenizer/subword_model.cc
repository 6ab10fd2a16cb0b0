#include "worker/data/tokenizer/subword_model.h"

#include <algorithm>

namespace ft::tokenizer {

void Vocabulary::Reserve(int32_t id) {
  const size_t needed = static_cast<size_t>(id) + 1;
  if (bytes.size() >= needed) return;
  bytes.resize(needed);
  in_model.resize(needed, 0);
}

void UnknownRule::Append(std::string_view character, uint32_t begin, size_t first,
                         std::vector<EncodedToken>* out) const {
  const auto token_of = [this](char byte) { return (*byte_tokens)[static_cast<unsigned char>(byte)]; };
  if (byte_tokens &&
      std::all_of(character.begin(), character.end(), [&](char byte) { return token_of(byte) >= 0; })) {
    for (const char byte : character) {
      out->push_back({token_of(byte), begin, begin + 1});
      ++begin;
    }
    return;
  }
  if (unknown_id < 0) return;
  const auto end = begin + static_cast<uint32_t>(character.size());
  if (fuse && out->size() > first && out->back().id == unknown_id && out->back().end == begin) {
    out->back().end = end;
    return;
  }
  out->push_back({unknown_id, begin, end});
}

}  // namespace ft::tokenizer
