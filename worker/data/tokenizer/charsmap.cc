#include "worker/data/tokenizer/charsmap.h"

namespace ft::tokenizer {
namespace {

uint32_t ReadUnit(std::string_view bytes, size_t pos) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i)
    value |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[pos + i])) << (8 * i);
  return value;
}

bool HasLeaf(uint32_t unit) { return ((unit >> 8) & 1) != 0; }
uint32_t Value(uint32_t unit) { return unit & 0x7FFFFFFF; }
uint32_t Label(uint32_t unit) { return unit & (0x80000000U | 0xFF); }
size_t Offset(uint32_t unit) { return static_cast<size_t>(unit >> 10) << ((unit & 0x200) >> 6); }

}  // namespace

StatusOr<Charsmap> Charsmap::Parse(std::string_view blob) {
  Charsmap map;
  if (blob.empty()) return map;
  const size_t trie = blob.size() < 4 ? 0 : ReadUnit(blob, 0);
  if (trie == 0 || trie % 4 != 0 || trie > blob.size() - 4)
    return absl::InvalidArgumentError("its normaliser's map is damaged; copy or download the file again");
  map.units_.reserve(trie / 4);
  for (size_t pos = 0; pos < trie; pos += 4) map.units_.push_back(ReadUnit(blob, 4 + pos));
  map.replacements_ = blob.substr(4 + trie);
  if (!map.replacements_.ends_with('\0')) map.replacements_.push_back('\0');
  map.FindBeginnings();
  return map;
}

void Charsmap::FindBeginnings() {
  for (size_t first = 0; first < 256; ++first) {
    const size_t place = Offset(units_[0]) ^ first;
    if (place >= units_.size() || Label(units_[place]) != first) continue;
    const uint32_t unit = units_[place];
    for (size_t second = 0; second < 256; ++second) {
      const size_t next = place ^ Offset(unit) ^ second;
      begins_[first << 8 | second] = HasLeaf(unit) || (next < units_.size() && Label(units_[next]) == second);
    }
  }
}

Charsmap::Match Charsmap::Longest(std::string_view text, size_t pos) const {
  Match longest;
  if (units_.empty()) return longest;
  size_t place = Offset(units_[0]);
  for (size_t i = pos; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    place ^= byte;
    if (place >= units_.size() || Label(units_[place]) != byte) break;
    const uint32_t unit = units_[place];
    place ^= Offset(unit);
    if (!HasLeaf(unit)) continue;
    if (place >= units_.size() || Value(units_[place]) >= replacements_.size()) break;
    const size_t begin = Value(units_[place]);
    longest = {i + 1 - pos,
               std::string_view(replacements_).substr(begin, replacements_.find('\0', begin) - begin)};
  }
  return longest;
}

}  // namespace ft::tokenizer
