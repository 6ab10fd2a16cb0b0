// Judge(): what silence means. A lease that runs out ends nothing; only evidence does. Pure.
//
//   ALIVE  ranks of the gang that are in contact made two further progress beats after the first member fell
//   silent.
//          Synchronous training cannot pass a collective without every rank; two, because one may have been
//          in flight.
//   DEAD   the gang's beats have stalled for max(stall, the phase's own limit) while a member is silent; or
//   no rank is in
//          contact to bear witness, for node_loss; or, for a strict_exclusive job, one lease and
//          strict_margin have passed: by then the silent node has killed its ranks by itself.
//   WAIT   nothing is known yet.
//
// JudgeWait(): what it means that ranks of a gang, all in contact, wait for each other in an exchange. A rank that waits
// shows that its process lives, not that the gang does: only steps, beats of work, and exchanges that are passed do.
//
//   NOTICE somebody waits, and no rank of the gang has made progress for `notice`: worth an event.
//   HUNG   every rank waits, and none has made progress for `hang`; or one says nothing at all, neither that it works nor that it waits,
//          while others wait, for longer than SilenceLimit(). A process that was stopped, or stands in the kernel, is such a rank.
#pragma once

#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace ft::fleet {

struct VerdictRules {
  absl::Duration lease = absl::Seconds(15);
  absl::Duration stall = absl::Seconds(15);
  absl::Duration node_loss = absl::Seconds(120);
  absl::Duration strict_margin = absl::Seconds(5);
  absl::Duration hang = absl::Seconds(120);
  absl::Duration notice = absl::Seconds(5);
  // Without a beat of any kind for so long, a rank is one that nobody hears, while others tell twice a second that they wait.
  absl::Duration unheard = absl::Seconds(2);
};

struct GangView {
  absl::Duration unreachable_for;  // Since its first member fell silent.
  bool has_witness = false;        // A rank is in contact and has not ended.
  int64_t beats = 0;               // Most that one rank in contact made since then.
  absl::Duration since_beat;       // Since the newest of them, at most unreachable_for.
  absl::Duration phase_limit;      // PhaseLimit() of what the ranks in contact do.
  bool strict_exclusive = false;
};

enum class Verdict { kWait, kAlive, kDead };

Verdict Judge(const VerdictRules& rules, const GangView& gang);

struct WaitView {
  bool any = false;      // A rank waits.
  bool all = false;      // Every rank that has not ended does.
  absl::Duration still;  // Since any rank made progress.
  // By how much the silence of some rank is longer than it may be, while another tells that it waits; negative where none is.
  absl::Duration beyond_silence = -absl::InfiniteDuration();
};

enum class WaitVerdict { kNone, kNotice, kHung };

WaitVerdict JudgeWait(const VerdictRules& rules, const WaitView& gang);

// How long a phase may go without a beat. Loading a model and writing a checkpoint beat rarely; a step beats
// a few times, so five of its newest duration are allowed.
absl::Duration PhaseLimit(const VerdictRules& rules, const std::string& phase, double step_seconds);

// How long a rank may say nothing at all while its peers wait: twice the phase's limit, but no longer than `hang` where that is more than
// the limit itself. How long a step takes is not known before the first, which has `hang`.
absl::Duration SilenceLimit(const VerdictRules& rules, const std::string& phase, double step_seconds);

}  // namespace ft::fleet
