// I11, I12 and I13: processes end when they must, jobs move when they can, and nothing ends that could go on.
#include <algorithm>
#include <map>

#include "tests/control/check/rules.h"

namespace ft::check {
namespace {

namespace pb = state::pb;

constexpr int64_t kSlack = 1'000'000'000;    // Between two clocks read by two processes.
constexpr int64_t kSmallSlack = 50'000'000;  // The same, where a shorter time is measured.
constexpr int64_t kOrphanLimit =
    5'000'000'000;  // How long orphans may live on a node that is in contact again.

double Seconds(int64_t nanos) { return static_cast<double>(nanos) * 1e-9; }

std::string NodeOf(const Life& life, int rank) {
  return life.row != nullptr && rank < life.row->ranks_size() ? life.row->ranks(rank).node_id() : "";
}

// Until when a rank may give signs of itself.
int64_t MayLiveUntil(const Timeline& timeline, const Life& life, int rank, bool strict) {
  const std::string node = NodeOf(life, rank);
  const int64_t over = std::min(life.ended, life.dead);
  if (over == kForever) return kForever;
  if (!timeline.IsSilent(node, over)) return life.ended == kForever ? kForever : life.ended + kSlack;
  if (strict) return over + kSlack;  // Its supervisor has killed it before anybody gave it up.
  const int64_t contact = timeline.ContactAfter(node, over);
  if (contact == kForever || life.ended == kForever) return kForever;
  return std::max(contact, life.ended) + kOrphanLimit;
}

bool IsOver(const std::string& state) {
  return state == "SUCCEEDED" || state == "FAILED" || state == "CANCELLED" || state == "PAUSED" ||
         state.empty();
}

// When anything happened that could move the job, or keep it from moving; the last is the history's end.
std::vector<int64_t> MomentsOf(const Timeline& timeline, const std::string& job) {
  std::vector<int64_t> moments = {timeline.end};
  for (const pb::Event* event : timeline.jobs.at(job)) moments.push_back(Nanos(event->time()));
  for (const Sign& sign : timeline.signs) {
    if (sign.job == job) moments.push_back(sign.time);
  }
  for (const auto& [other, lives] : timeline.lives) {
    for (const auto& [epoch, life] : lives) moments.insert(moments.end(), {life.started, life.ended});
  }
  for (const Harm& harm : timeline.harms) moments.insert(moments.end(), {harm.span.from, harm.span.to});
  for (const auto* spans : {&timeline.silent, &timeline.ready}) {
    for (const auto& [node, list] : *spans) {
      for (const Span& span : list) moments.insert(moments.end(), {span.from, span.to});
    }
  }
  std::erase_if(moments, [&](int64_t moment) { return moment > timeline.end; });
  std::sort(moments.begin(), moments.end());
  return moments;
}

std::string StateAt(const std::vector<const pb::Event*>& states, int64_t time) {
  std::string state;
  for (const pb::Event* event : states) {
    if (Nanos(event->time()) <= time) state = event->to_state();
  }
  return state;
}

// An attempt of `job`, or of any with an empty name, that runs at that time.
bool AnyAttemptAt(const Timeline& timeline, const std::string& job, int64_t time) {
  for (const auto& [name, lives] : timeline.lives) {
    if (!job.empty() && name != job) continue;
    for (const auto& [epoch, life] : lives) {
      if (life.started <= time && time < life.ended) return true;
    }
  }
  return false;
}

// Whether nothing but the coordinator's and the node's own will keeps the job from moving.
bool CouldMoveAt(const Timeline& timeline, const std::string& job, int64_t time) {
  const bool harmed = std::any_of(timeline.harms.begin(), timeline.harms.end(),
                                  [&](const Harm& harm) { return harm.span.Holds(time); });
  if (harmed || IsOver(StateAt(timeline.jobs.at(job), time))) return false;
  if (AnyAttemptAt(timeline, job, time)) return true;
  const bool has_node = std::any_of(timeline.ready.begin(), timeline.ready.end(), [&](const auto& entry) {
    return std::any_of(entry.second.begin(), entry.second.end(),
                       [&](const Span& span) { return span.Holds(time); });
  });
  return has_node && !AnyAttemptAt(timeline, "", time);
}

bool HasHarm(const Timeline& timeline, const Life& life, const std::vector<std::string>& targets) {
  return std::any_of(timeline.harms.begin(), timeline.harms.end(), [&](const Harm& harm) {
    const bool during = harm.span.from <= life.ended && harm.span.to >= life.started;
    if (harm.target == "self") return harm.job == life.job && harm.epoch == life.epoch;
    return during && std::find(targets.begin(), targets.end(), harm.target) != targets.end();
  });
}

// A verdict needs a gang that stalled beside a silent member, or a long enough silence that nobody can
// witness.
void CheckVerdict(const Timeline& timeline, const Life& life, const Bounds& bounds, Violations& out) {
  int64_t silent_since = kForever;
  bool witness = false;
  for (const auto& rank : life.row->ranks()) {
    if (!timeline.IsSilent(rank.node_id(), life.dead)) witness = true;
    const auto spans = timeline.silent.find(rank.node_id());
    if (spans == timeline.silent.end()) continue;
    for (const Span& span : spans->second) {
      if (span.Holds(life.dead)) silent_since = std::min(silent_since, span.from);
    }
  }
  const std::string who = StrCat("I13: ", life.job, " epoch ", life.epoch, " was given up ");
  if (silent_since == kForever) {
    out.push_back(StrCat(who, "with all its nodes in contact"));
    return;
  }
  if (!witness) {
    const int64_t silence = life.dead - silent_since;
    // The event of its beginning may have been written down late.
    if (silence < absl::ToInt64Nanoseconds(bounds.node_loss) - kSlack)
      out.push_back(StrCat(who, "after a silence of ", Seconds(silence), " s"));
    return;
  }
  for (const Sign& sign : timeline.signs) {
    if (!sign.is_step || sign.job != life.job || sign.epoch != life.epoch || sign.time > life.dead) continue;
    if (sign.time < life.dead - absl::ToInt64Nanoseconds(bounds.stall) + kSmallSlack) continue;
    out.push_back(StrCat(who, Seconds(life.dead - sign.time), " s after rank ", sign.rank, " had stepped"));
    return;
  }
}

}  // namespace

void CheckOrphans(const Timeline& timeline, const Bounds& bounds, Violations& out) {
  std::map<std::string, int64_t> worst;  // attempt -> excess, one sentence for each
  for (const Sign& sign : timeline.signs) {
    const Life* life = timeline.Find(sign.job, sign.epoch);
    if (life == nullptr || life->row == nullptr) continue;  // I3 says so, or the job is deleted.
    const bool strict = bounds.strict_jobs.contains(sign.job);
    const int64_t until = MayLiveUntil(timeline, *life, sign.rank, strict);
    if (sign.time <= until) continue;
    int64_t& excess = worst[StrCat(sign.job, " epoch ", sign.epoch, " rank ", sign.rank)];
    excess = std::max(excess, sign.time - until);
  }
  for (const auto& [who, excess] : worst)
    out.push_back(StrCat("I11: ", who, " still ran ", Seconds(excess), " s after it had to be gone"));
}

void CheckLiveness(const Evidence& evidence, const Timeline& timeline, const Bounds& bounds,
                   Violations& out) {
  for (const auto& [job, states] : timeline.jobs) {
    const state::JobPtr row = evidence.state.jobs.Find(job);
    if (timeline.end == 0 || row == nullptr) continue;
    const bool backs_off = row->has_not_before() && Nanos(row->not_before()) > timeline.end;
    const std::vector<int64_t> moments = MomentsOf(timeline, job);
    for (size_t i = 1; i < moments.size() && !backs_off; ++i) {
      const int64_t gap = moments[i] - moments[i - 1];
      if (gap <= absl::ToInt64Nanoseconds(bounds.progress) || !CouldMoveAt(timeline, job, moments[i - 1]))
        continue;
      out.push_back(StrCat("I12: job ", job, " was ", StateAt(states, moments[i - 1]), " for ", Seconds(gap),
                           " s in which nothing happened to it"));
    }
  }
}

void CheckHealthyWork(const Timeline& timeline, const Bounds& bounds, Violations& out) {
  for (const auto& [job, lives] : timeline.lives) {
    for (const auto& [epoch, life] : lives) {
      if (life.row == nullptr || life.ended == kForever) continue;
      const bool strict = bounds.strict_jobs.contains(job);
      if (life.dead != kForever && !strict) CheckVerdict(timeline, life, bounds, out);
      if (life.asked_to_end || life.dead != kForever || Succeeded(*life.row)) continue;
      // Strict jobs give up their ranks with their lease, whatever took it.
      const std::vector<std::string> causes =
          strict ? std::vector<std::string>{"rank", "worker", "agent", "network", "coordinator", "store"}
                 : std::vector<std::string>{"rank", "worker"};
      if (HasHarm(timeline, life, causes)) continue;
      out.push_back(StrCat("I13: ", job, " epoch ", epoch, " ended (",
                           pb::FailureClass_Name(life.row->failure().failure_class()),
                           ") and nothing had happened to its ranks"));
    }
  }
}

}  // namespace ft::check
