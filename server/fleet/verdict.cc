#include "server/fleet/verdict.h"

#include <algorithm>

namespace ft::fleet {

Verdict Judge(const VerdictRules& rules, const GangView& gang) {
  if (gang.strict_exclusive) {
    return gang.unreachable_for >= rules.lease + rules.strict_margin ? Verdict::kDead : Verdict::kWait;
  }
  if (!gang.has_witness) return gang.unreachable_for >= rules.node_loss ? Verdict::kDead : Verdict::kWait;
  if (gang.since_beat >= std::max(rules.stall, gang.phase_limit)) return Verdict::kDead;
  return gang.beats >= 2 ? Verdict::kAlive : Verdict::kWait;
}

WaitVerdict JudgeWait(const VerdictRules& rules, const WaitView& gang) {
  if (!gang.any || gang.still < rules.notice) return WaitVerdict::kNone;
  const bool hangs = (gang.all && gang.still >= rules.hang) || gang.beyond_silence >= absl::ZeroDuration();
  return hangs ? WaitVerdict::kHung : WaitVerdict::kNotice;
}

absl::Duration PhaseLimit(const VerdictRules& rules, const std::string& phase, double step_seconds) {
  if (phase == "train") return std::max(rules.stall, 5 * absl::Seconds(step_seconds));
  if (phase == "evaluate" || phase == "generate") return 4 * rules.stall;
  if (phase == "checkpoint" || phase == "write") return 8 * rules.stall;
  return 40 * rules.stall;  // load, prepare, and before the first beat.
}

absl::Duration SilenceLimit(const VerdictRules& rules, const std::string& phase, double step_seconds) {
  const absl::Duration limit = PhaseLimit(rules, phase, step_seconds);
  const bool is_first_step = phase == "train" && step_seconds <= 0;
  return std::max(limit, is_first_step ? rules.hang : std::min(rules.hang, 2 * limit));
}

}  // namespace ft::fleet
