// Tells a rank that hangs from one that is slow, by its beats alone. Pure: the caller says what time it is,
// on the boot clock. One rank; the agent's loop.
//
// A rank that trains, evaluates or generates beats several times a step: it hangs after max(least, 5 x the
// median of its newest steps) without a beat. Loading and preparing beat rarely and have `start`; a
// checkpoint and the writing of a result five times `least`, in which bytes must have been written.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "finetune/worker/v1/records.pb.h"

namespace ft::agent {

struct HangLimits {
  absl::Duration least = absl::Seconds(120);
  absl::Duration start = absl::Minutes(30);
};

class Watchdog {
 public:
  Watchdog(HangLimits limits, absl::Duration now) : limits_(limits), progress_(now), looked_(now) {}

  void OnRecord(const finetune::worker::v1::RankRecord& record, absl::Duration now);
  // Why the rank counts as hung; nullopt while it is healthy. Time in which nobody looked, because the agent itself stood still,
  // does not count.
  std::optional<std::string> Look(absl::Duration now);

 private:
  absl::Duration Limit() const;

  const HangLimits limits_;
  absl::Duration progress_;  // When it last beat, as far as it was looked at.
  absl::Duration looked_;
  std::string phase_;  // Empty before the first beat.
  int64_t bytes_ = 0;  // Written in this phase, as the newest beat says.
  std::vector<double> step_seconds_;
  size_t next_ = 0;    // Next slot of step_seconds_, which is a ring.
  bool done_ = false;  // It has told its result.
};

}  // namespace ft::agent
