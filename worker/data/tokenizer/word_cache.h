// The tokens of words that were cut lately. Most words of a text come again and again.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "worker/data/tokenizer/tokenizer.h"

namespace ft::tokenizer {

// One thread. A table of 65,536 words of at most 24 bytes and 6 tokens, 4 MiB, made at the first word; a word whose place is taken
// replaces the one there. It is larger than a core's caches, so whoever knows words ahead asks for their places ahead.
class WordCache {
 public:
  static constexpr size_t kMaxWordBytes = 24;
  static constexpr size_t kMaxTokens = 6;
  static constexpr size_t kSlots = 65536;  // As many as 16 bits of a hash tell apart.
  static constexpr float kSure = std::numeric_limits<float>::infinity();

  // A word as the table's key: its bytes, zeroes behind them, and where it would stand.
  struct Key {
    std::array<uint64_t, 3> bytes = {};
    uint32_t size = 0;
    uint32_t place = 0;
    Key() = default;
    // `behind`: how many bytes behind the word may be read; where there are some, whole registers are. REQUIRES: Takes.
    explicit Key(std::string_view word, size_t behind = 0) : size(static_cast<uint32_t>(word.size())) {
      if (word.size() + behind >= kMaxWordBytes) {
        std::memcpy(bytes.data(), word.data(), kMaxWordBytes);
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] &= kMasks[size][i];
      } else {
        std::memcpy(bytes.data(), word.data(), word.size());
      }
      // Products that do not wait for each other.
      uint64_t hash = (size + bytes[0]) * 0x9E3779B97F4A7C15u;
      hash ^= std::rotl(bytes[1] * 0xD6E8FEB86659FD93u, 21) ^ std::rotl(bytes[2] * 0xC2B2AE3D27D4EB4Fu, 42);
      place = static_cast<uint32_t>(((hash ^ hash >> 32) * 0xD6E8FEB86659FD93u) >> 48);
    }

   private:
    static_assert(std::endian::native == std::endian::little, "the first bytes are the lowest");
    // By size: the bits of three words that a word of text fills.
    static constexpr auto kMasks = [] {
      std::array<std::array<uint64_t, 3>, kMaxWordBytes + 1> masks = {};
      for (size_t size = 0; size < masks.size(); ++size) {
        for (size_t bit = 0; bit < 8 * size; ++bit) masks[size][bit / 64] |= uint64_t{1} << bit % 64;
      }
      return masks;
    }();
  };
  static bool Takes(std::string_view word) { return !word.empty() && word.size() <= kMaxWordBytes; }

  // Has the word's place at hand soon.
  void Prefetch(const Key& key) const {
    if (!slots_.empty()) __builtin_prefetch(&slots_[key.place]);
  }
  // Whether the word is known.
  bool Holds(const Key& key) const {
    if (slots_.empty()) return false;
    const Slot& slot = slots_[key.place];
    return slot.size == key.size && slot.bytes == key.bytes;
  }
  // Appends the word's tokens, places counted from `base`; false = it is not known, or was kept with a margin of not
  // more than `least`. REQUIRES: Takes.
  bool Find(const Key& key, uint32_t base, std::vector<EncodedToken>* out, float least = 0) const {
    if (slots_.empty()) return false;
    const Slot& slot = slots_[key.place];
    if (slot.size != key.size || slot.bytes != key.bytes || slot.margin <= least) return false;
    uint32_t begin = 0;
    for (size_t i = 0; i < slot.tokens; ++i) {
      out->push_back({slot.ids[i], base + begin, base + slot.ends[i]});
      begin = slot.ends[i];
    }
    return true;
  }
  // Keeps tokens that follow each other without gaps over the whole word; others are not kept.
  // `margin`: how sure the tokens are (unigram.h).
  void Keep(const Key& key, std::span<const EncodedToken> tokens, uint32_t base, float margin = kSure) {
    if (tokens.empty() || tokens.size() > kMaxTokens || tokens.back().end != base + key.size) return;
    if (slots_.empty()) slots_.resize(kSlots);
    Slot& slot = slots_[key.place];
    uint32_t begin = base;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i].begin != begin) {
        slot.size = 0;
        return;
      }
      begin = tokens[i].end;
      slot.ids[i] = tokens[i].id;
      slot.ends[i] = static_cast<uint8_t>(begin - base);
    }
    slot.bytes = key.bytes;
    slot.margin = margin;
    slot.size = static_cast<uint8_t>(key.size);
    slot.tokens = static_cast<uint8_t>(tokens.size());
  }

 private:
  struct alignas(64) Slot {  // A cache line each.
    std::array<uint64_t, 3> bytes = {};
    std::array<int32_t, kMaxTokens> ids = {};
    std::array<uint8_t, kMaxTokens> ends = {};
    float margin = 0;
    uint8_t size = 0;  // 0 = empty.
    uint8_t tokens = 0;
  };
  std::vector<Slot> slots_;
};

}  // namespace ft::tokenizer
