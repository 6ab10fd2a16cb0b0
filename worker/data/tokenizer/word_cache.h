// The tokens of words that were cut lately. Most words of a text come again and again.
#pragma once

#include <array>
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
  static constexpr size_t kSlots = 65536;
  static constexpr float kSure = std::numeric_limits<float>::infinity();

  // A word as the table's key: its bytes, zeroes behind them, and where it would stand.
  struct Key {
    std::array<uint64_t, 3> bytes = {};
    uint32_t size = 0;
    uint32_t place = 0;
    Key() = default;
    // REQUIRES: Takes.
    explicit Key(std::string_view word) : size(static_cast<uint32_t>(word.size())) {
      std::memcpy(bytes.data(), word.data(), word.size());
      uint64_t hash = size * 0x9E3779B97F4A7C15u;
      for (const uint64_t part : bytes) hash = (hash ^ part) * 0xD6E8FEB86659FD93u, hash ^= hash >> 32;
      place = static_cast<uint32_t>(hash % kSlots);
    }
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
