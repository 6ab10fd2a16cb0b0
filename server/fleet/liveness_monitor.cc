#include "server/fleet/liveness_monitor.h"

#include <algorithm>

#include "core/base/str_cat.h"

namespace ft::fleet {
namespace {

namespace spb = state::spb;

bool HasEnded(const spb::StoredRank& rank) {
  return rank.state() == state::wpb::RANK_EXITED || rank.state() == state::wpb::RANK_NOT_STARTED;
}

std::vector<std::string> UnreachableNodes(const spb::StoredAttempt& attempt,
                                          const std::map<std::string, absl::Duration>& unreachable) {
  std::vector<std::string> nodes;
  for (const spb::StoredRank& rank : attempt.ranks()) {
    if (HasEnded(rank) || !unreachable.contains(rank.node_id())) continue;
    if (std::find(nodes.begin(), nodes.end(), rank.node_id()) == nodes.end()) nodes.push_back(rank.node_id());
  }
  return nodes;
}

std::string Joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) StrAppend(&text, text.empty() ? "" : ", ", item);
  return text;
}

std::string DeathOf(const GangView& gang, const std::string& nodes) {
  const std::string out =
      StrCat("node ", nodes, " is out of contact for ", absl::FormatDuration(gang.unreachable_for));
  if (gang.strict_exclusive)
    return StrCat(out, ", and the job is strict_exclusive: its ranks there have been killed");
  if (!gang.has_witness) return StrCat(out, ", and no other rank shows that the gang goes on");
  return StrCat(out, ", and the rest of the gang made no progress for ",
                absl::FormatDuration(gang.since_beat));
}

// The wait that says what the gang lacks: the one in the earliest exchange, since what that rank lacks the others lack too. Of a
// rank that is not heard it is an old one, and tells only where no other does.
const spb::StoredRank* TellingWait(const spb::StoredAttempt& attempt, const std::set<int>& unheard) {
  const spb::StoredRank* telling = nullptr;
  const auto is_before = [&](const spb::StoredRank& a, const spb::StoredRank& b) {
    return std::pair(unheard.contains(a.rank()), a.wait().sequence()) <
           std::pair(unheard.contains(b.rank()), b.wait().sequence());
  };
  for (const spb::StoredRank& rank : attempt.ranks()) {
    if (HasEnded(rank) || !rank.has_wait()) continue;
    if (telling == nullptr || is_before(rank, *telling)) telling = &rank;
  }
  return telling;
}

// Whom the gang lacks, when `waits` tells: who is not heard while it speaks; else whom it names itself; else, since not every transport
// knows, one that does not wait. -1 = nobody can say.
int MissingRank(const spb::StoredAttempt& attempt, const spb::StoredRank& waits,
                const std::set<int>& unheard) {
  const int named = waits.wait().missing_rank();
  if (!unheard.contains(waits.rank()) && !unheard.empty())
    return unheard.contains(named) ? named : *unheard.begin();
  if (named >= 0) return named;
  for (const spb::StoredRank& rank : attempt.ranks()) {
    if (!HasEnded(rank) && !rank.has_wait()) return rank.rank();
  }
  return -1;
}

std::string WaitText(const spb::StoredRank& waits, int missing, absl::Duration still) {
  const spb::Wait& wait = waits.wait();
  return StrCat("rank ", waits.rank(), " waits for ", missing < 0 ? "its peers" : StrCat("rank ", missing),
                " in ", wait.operation().empty() ? "an exchange" : wait.operation(), " ", wait.sequence(),
                ", and no rank made progress for ",
                absl::FormatDuration(absl::Floor(still, absl::Seconds(1))));
}

}  // namespace

std::vector<Finding> LivenessMonitor::Look(const state::ClusterState& state,
                                           const std::map<std::string, absl::Duration>& unreachable,
                                           absl::Duration now) {
  std::vector<Finding> findings;
  for (auto& [key, watch] : watches_) watch.seen = false;
  for (auto& [key, watch] : wait_watches_) watch.seen = false;
  state.active.ForEach([&](const state::AttemptPtr& attempt) {
    if (!UnreachableNodes(*attempt, unreachable).empty()) {
      Finding finding = LookAt(state, *attempt, unreachable, now);
      if (finding.verdict != Verdict::kWait) findings.push_back(std::move(finding));
    } else if (attempt->ranks_size() > 1 && attempt->state() == spb::StoredAttempt::RUNNING) {
      Finding finding = LookAtWaits(*attempt, now);
      if (finding.wait != WaitVerdict::kNone) findings.push_back(std::move(finding));
    }
  });
  std::erase_if(watches_, [](const auto& item) { return !item.second.seen; });
  std::erase_if(wait_watches_, [](const auto& item) { return !item.second.seen; });
  return findings;
}

Finding LivenessMonitor::LookAtWaits(const spb::StoredAttempt& attempt, absl::Duration now) {
  WaitWatch& watch = wait_watches_[state::AttemptKey(attempt.job_id(), attempt.epoch())];
  watch.seen = true;
  WaitView gang{.all = true};
  int64_t total = 0;
  const std::set<int> unheard = Unheard(attempt, watch, now);
  const spb::StoredRank* waits = TellingWait(attempt, unheard);
  for (const spb::StoredRank& rank : attempt.ranks()) {
    total += rank.beats();
    if (!HasEnded(rank)) gang.all = gang.all && rank.has_wait();
  }
  if (watch.since == absl::ZeroDuration() || total != watch.total) watch.since = now;
  watch.total = total;
  gang.any = waits != nullptr;
  gang.still = now - watch.since;
  if (waits != nullptr && !unheard.contains(waits->rank()))
    gang.beyond_silence = BeyondSilence(attempt, watch, unheard, now);
  Finding finding{.job_id = attempt.job_id(), .epoch = attempt.epoch(), .wait = JudgeWait(rules_, gang)};
  if (finding.wait == WaitVerdict::kNone) return finding;
  finding.message = WaitText(*waits, MissingRank(attempt, *waits, unheard), gang.still);
  if (finding.wait == WaitVerdict::kHung) return finding;
  if (watch.noticed == waits->wait().sequence()) finding.wait = WaitVerdict::kNone;
  watch.noticed = waits->wait().sequence();
  return finding;
}

std::set<int> LivenessMonitor::Unheard(const spb::StoredAttempt& attempt, WaitWatch& watch,
                                       absl::Duration now) const {
  std::set<int> unheard;
  for (const spb::StoredRank& rank : attempt.ranks()) {
    const auto [slot, fresh] = watch.heard.try_emplace(rank.rank());
    const int64_t beats = rank.beats() + rank.wait_beats();
    if (fresh || beats != slot->second.beats) slot->second = {.beats = beats, .at = now};
    if (!HasEnded(rank) && now - slot->second.at >= rules_.unheard) unheard.insert(rank.rank());
  }
  return unheard;
}

absl::Duration LivenessMonitor::BeyondSilence(const spb::StoredAttempt& attempt, const WaitWatch& watch,
                                              const std::set<int>& unheard, absl::Duration now) const {
  absl::Duration beyond = -absl::InfiniteDuration();
  for (const spb::StoredRank& rank : attempt.ranks()) {
    if (!unheard.contains(rank.rank())) continue;
    // A gang that goes on does not lack the rank.
    const absl::Duration silence = now - std::max(watch.heard.at(rank.rank()).at, watch.since);
    beyond = std::max(beyond, silence - SilenceLimit(rules_, rank.phase(), attempt.step_seconds()));
  }
  return beyond;
}

Finding LivenessMonitor::LookAt(const state::ClusterState& state, const spb::StoredAttempt& attempt,
                                const std::map<std::string, absl::Duration>& unreachable,
                                absl::Duration now) {
  const std::string key = state::AttemptKey(attempt.job_id(), attempt.epoch());
  const auto [slot, fresh] = watches_.try_emplace(key);
  Watch& watch = slot->second;
  watch.seen = true;
  Finding finding{
      .job_id = attempt.job_id(), .epoch = attempt.epoch(), .nodes = UnreachableNodes(attempt, unreachable)};
  if (fresh) {
    watch.since = now;
    for (const std::string& node : finding.nodes) watch.since = std::min(watch.since, unreachable.at(node));
    watch.last_beat = watch.since;
    for (const spb::StoredRank& rank : attempt.ranks()) {
      watch.beats_then[rank.rank()] = rank.beats();
      if (!unreachable.contains(rank.node_id())) watch.total += rank.beats();
    }
  }
  GangView gang;
  std::string phase;
  int64_t total = 0;
  for (const spb::StoredRank& rank : attempt.ranks()) {
    if (unreachable.contains(rank.node_id()) || HasEnded(rank)) continue;
    gang.has_witness = true;
    gang.beats = std::max(gang.beats, rank.beats() - watch.beats_then[rank.rank()]);
    total += rank.beats();
    phase = rank.phase();
  }
  if (total > watch.total) watch.last_beat = now;
  watch.total = total;
  const state::JobPtr job = state.jobs.Find(attempt.job_id());
  gang.unreachable_for = now - watch.since;
  gang.since_beat = now - watch.last_beat;
  gang.phase_limit = PhaseLimit(rules_, phase, attempt.step_seconds());
  gang.strict_exclusive = job != nullptr && job->strict_exclusive();
  finding.verdict = Judge(rules_, gang);
  const std::string nodes = Joined(finding.nodes);
  if (finding.verdict == Verdict::kDead) finding.message = DeathOf(gang, nodes);
  if (finding.verdict != Verdict::kAlive) return finding;
  finding.message = StrCat("node ", nodes, " is out of contact, and the gang goes on: ", gang.beats,
                           " further beats of a rank that needs it");
  if (watch.told_alive) finding.verdict = Verdict::kWait;
  watch.told_alive = true;
  return finding;
}

}  // namespace ft::fleet
