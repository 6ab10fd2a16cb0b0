// Cards that fail again and again are given no job for a while. Pure.
//
// A program's own fault ends a rank as a broken card does (an address that does not exist), and a card that is kept out of use for one of
// those helps nobody. So a card is excluded when attempts in a row ended with a fault of it, for an hour; `ftctl uncordon NODE` and another
// boot of its machine end that. A gang whose ranks blame several cards tells nothing of any of them.
#pragma once

#include <string>

#include "absl/time/time.h"
#include "server/state/cluster_state.h"

namespace ft::state {

class Transaction;

inline constexpr int kFaultsUntilExclusion = 2;  // In a row.
inline constexpr absl::Duration kExclusion = absl::Hours(1);

// What the end of an attempt says of the devices that its ranks were given.
void NoteDevices(Transaction& transaction, const spb::StoredAttempt& attempt);

// How long no job is given to the device; zero while it takes jobs.
absl::Duration ExcludedFor(const spb::StoredNode& node, const std::string& uuid, absl::Time now);

// Why no job is given to the device, by what its node says of it or by its faults: one sentence; empty when it takes jobs.
std::string ProblemOf(const spb::StoredNode& node, const finetune::v1::Device& device, absl::Time now);

// Whether a device waits to be taken back.
bool HasEndedExclusion(const spb::StoredNode& node, absl::Time now);

// Takes those back. One more fault excludes them again.
void EndExclusions(Transaction& transaction);

}  // namespace ft::state
