// Watches gangs: those with a member out of contact, and says what Judge() makes of each; and those whose ranks wait for
// each other, and says what JudgeWait() makes of them. One thread: the loop's.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/fleet/verdict.h"
#include "server/state/cluster_state.h"

namespace ft::fleet {

struct Finding {
  std::string job_id;
  int64_t epoch = 0;
  // kAlive is found once in each silence, kDead until the attempt has ended.
  Verdict verdict = Verdict::kWait;
  // kNotice is found once for each exchange, kHung until the attempt has ended.
  WaitVerdict wait = WaitVerdict::kNone;
  std::vector<std::string> nodes;  // The silent ones among its nodes.
  std::string message;
};

class LivenessMonitor {
 public:
  explicit LivenessMonitor(VerdictRules rules) : rules_(rules) {}

  // `silent`: nodes out of contact and since when, on the clock of `now`.
  std::vector<Finding> Look(const state::ClusterState& state,
                            const std::map<std::string, absl::Duration>& unreachable, absl::Duration now);

 private:
  struct Watch {
    absl::Duration since;
    std::map<int, int64_t> beats_then;  // By rank, when the silence began.
    int64_t total = 0;
    absl::Duration last_beat;
    bool told_alive = false;
    bool seen = false;
  };
  struct Heard {
    int64_t beats = 0;  // Of work and of waiting.
    absl::Duration at;
  };
  // For a gang that is all in contact.
  struct WaitWatch {
    int64_t total = 0;  // Progress of all its ranks.
    absl::Duration since;
    int64_t noticed = -1;  // The exchange that was told of.
    bool seen = false;
    std::map<int, Heard> heard;  // By rank.
  };
  Finding LookAt(const state::ClusterState& state, const state::spb::StoredAttempt& attempt,
                 const std::map<std::string, absl::Duration>& unreachable, absl::Duration now);
  Finding LookAtWaits(const state::spb::StoredAttempt& attempt, absl::Duration now);
  // Ranks that have not ended and have said nothing for rules_.unheard.
  std::set<int> Unheard(const state::spb::StoredAttempt& attempt, WaitWatch& watch, absl::Duration now) const;
  // WaitView::beyond_silence of ranks `unheard`.
  absl::Duration BeyondSilence(const state::spb::StoredAttempt& attempt, const WaitWatch& watch,
                               const std::set<int>& unheard, absl::Duration now) const;

  const VerdictRules rules_;
  std::map<std::string, Watch> watches_;           // By attempt.
  std::map<std::string, WaitWatch> wait_watches_;  // By attempt.
};

}  // namespace ft::fleet
