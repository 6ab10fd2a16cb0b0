// How a job and a card go together, for people: parts, the sum beside what the card has, and what to change where it is too much.
#pragma once

#include <string>
#include <vector>

#include "core/plan/cards.h"
#include "core/plan/estimate.h"
#include "core/plan/model_parts.h"

namespace ft::plan {

struct CardReport {
  std::vector<MemoryPart> parts;  // Those that are there.
  Card card;                      // Without a name where nobody named one; then nothing is said of fitting.
  int64_t total = 0;
  BytesElsewhere beside;  // What rests in the memory of the card's host and on its disk.
  std::string change;     // SmallestChange, where the job does not fit and a change makes it fit.

  bool fits() const { return card.usable_bytes == 0 || total <= card.usable_bytes; }
};

// REQUIRES: as EstimateDeviceMemory.
CardReport ReportOf(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16, const DataSize& data,
                    const Card& card);

// Lines; GB are 1e9 bytes, as cards' makers count.
std::string ToText(const CardReport& report);

}  // namespace ft::plan
