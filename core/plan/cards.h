// GPUs that a job may be planned for without one at hand. Bytes are what a process can take: the card's memory less what its driver
// keeps.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace ft::plan {

struct Card {
  std::string_view name;
  int64_t usable_bytes = 0;
  int64_t multiprocessors = 0;  // Deterministic flash attention keeps partial gradients by them.
};

// Sources: docs/memory.md.
std::span<const Card> Cards();

// INVALID_ARGUMENT names the cards that there are.
StatusOr<Card> CardOf(std::string_view name);

// Of a card that nobody named: its multiprocessors are the most that one has today.
const Card& UnknownCard();

}  // namespace ft::plan
