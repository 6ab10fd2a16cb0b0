// I14: what attempts hold together fits their nodes, and nobody is passed by one who takes the same place.
#include <algorithm>
#include <map>
#include <set>

#include "tests/control/check/rules.h"

namespace ft::check {
namespace {

namespace pb = state::pb;
namespace spb = state::spb;

int CoresOf(const Evidence& evidence, const std::string& node) {
  const state::NodePtr row = evidence.state.nodes.Find(node);
  int cores = 0;
  if (row == nullptr) return 0;
  for (const pb::Device& device : row->devices()) cores += device.cores();
  return cores;
}

// The state a job was in at a revision; empty before its first.
std::string StateAt(const std::vector<const pb::Event*>& states, int64_t revision) {
  std::string state;
  for (const pb::Event* event : states) {
    if (event->revision() < revision) state = event->to_state();
  }
  return state;
}

bool MayRunOn(const Evidence& evidence, const spb::StoredJob& job, const std::string& node_id) {
  const std::string& home = job.resume_node().empty() ? job.prepared_node() : job.resume_node();
  if (home.empty() || home == node_id) return true;
  const state::NodePtr node = evidence.state.nodes.Find(node_id), at = evidence.state.nodes.Find(home);
  return node != nullptr && at != nullptr && !at->shared_dir().empty() &&
         at->shared_dir() == node->shared_dir();
}

// Whether `job` could have had exactly the places that the attempt was given.
bool WouldFit(const Evidence& evidence, const spb::StoredJob& job, const spb::StoredJob& other,
              const spb::StoredAttempt& given) {
  const bool as_large =
      job.ranks() <= given.ranks_size() && job.threads() > 0 && job.threads() <= given.threads();
  const bool same_kind =
      job.device() == other.device() && job.device_memory_bytes() <= other.device_memory_bytes();
  return as_large && same_kind &&
         std::all_of(given.ranks().begin(), given.ranks().end(),
                     [&](const spb::StoredRank& rank) { return MayRunOn(evidence, job, rank.node_id()); });
}

bool ComesFirst(const spb::StoredJob& job, const spb::StoredJob& other) {
  return job.priority() != other.priority() ? job.priority() > other.priority() : job.order() < other.order();
}

void CheckPassed(const Evidence& evidence, const Timeline& timeline, const Life& life, Violations& out) {
  const state::JobPtr started = evidence.state.jobs.Find(life.job);
  if (started == nullptr) return;
  for (const auto& [job, states] : timeline.jobs) {
    const state::JobPtr row = evidence.state.jobs.Find(job);
    if (job == life.job || row == nullptr || StateAt(states, life.started_revision) != "QUEUED") continue;
    if (!ComesFirst(*row, *started) || !WouldFit(evidence, *row, *started, *life.row)) continue;
    out.push_back(StrCat("I14: job ", job, " waited and comes first, and ", life.job, " epoch ", life.epoch,
                         " got a place that it could have had"));
  }
}

template <typename F>
void ForEachTraining(const Timeline& timeline, F visit) {
  for (const auto& [job, lives] : timeline.lives) {
    for (const auto& [epoch, life] : lives) {
      if (life.row != nullptr && life.row->kind() == state::wpb::TRAIN) visit(life);
    }
  }
}

}  // namespace

void CheckCapacity(const Evidence& evidence, const Timeline& timeline, Violations& out) {
  std::map<std::string, std::map<int64_t, int>> change;  // node -> revision -> cores taken or given back
  ForEachTraining(timeline, [&](const Life& life) {
    for (const spb::StoredRank& rank : life.row->ranks()) {
      change[rank.node_id()][life.started_revision] += life.row->threads();
      change[rank.node_id()][life.ended_revision] -= life.row->threads();
    }
  });
  for (const auto& [node, changes] : change) {
    const int cores = CoresOf(evidence, node);
    int taken = 0, most = 0;
    for (const auto& [revision, by] : changes) most = std::max(most, taken += by);
    if (most > cores)
      out.push_back(StrCat("I14: ", most, " of the ", cores, " cores of node ", node, " were taken"));
  }
}

void CheckPriority(const Evidence& evidence, const Timeline& timeline, Violations& out) {
  ForEachTraining(timeline, [&](const Life& life) { CheckPassed(evidence, timeline, life, out); });
}

}  // namespace ft::check
