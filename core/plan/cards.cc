#include "core/plan/cards.h"

#include <array>

#include "core/base/str_cat.h"

namespace ft::plan {
namespace {

constexpr std::array<Card, 6> kCards = {{
    {"a100-40g", 42'300'000'000, 108},
    {"a100-80g", 85'000'000'000, 108},
    {"h100-80g", 85'000'000'000, 132},
    {"a6000-48g", 50'900'000'000, 84},
    {"rtx3090-24g", 25'200'000'000, 82},
    {"rtx4090-24g", 25'200'000'000, 128},
}};

constexpr Card kUnknown = {"", 0, 132};

}  // namespace

std::span<const Card> Cards() { return kCards; }

StatusOr<Card> CardOf(std::string_view name) {
  std::string names;
  for (const Card& card : kCards) {
    if (card.name == name) return card;
    StrAppend(&names, names.empty() ? "" : ", ", card.name);
  }
  return absl::InvalidArgumentError(StrCat("--card ", name, " is not known: use one of ", names));
}

const Card& UnknownCard() { return kUnknown; }

}  // namespace ft::plan
