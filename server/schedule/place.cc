#include "server/schedule/place.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "core/base/str_cat.h"
#include "server/schedule/fit.h"

namespace ft::schedule {
namespace {

// When each holding ends, and where it is.
struct Release {
  double ends;
  size_t node;
  const Holding* held;
};

void Return(const Release& release, std::vector<NodeCapacity>& nodes) {
  NodeCapacity& node = nodes[release.node];
  node.free_cores += release.held->cores;
  node.free_gpus.insert(node.free_gpus.end(), release.held->gpus.begin(), release.held->gpus.end());
}

// What is free on a node both now and beside the reservation.
NodeCapacity Common(const NodeCapacity& now, const NodeCapacity& later) {
  NodeCapacity common = now;
  common.free_cores = std::min(now.free_cores, later.free_cores);
  std::erase_if(common.free_gpus, [&](const Device& device) {
    return std::none_of(later.free_gpus.begin(), later.free_gpus.end(),
                        [&](const Device& other) { return other.IsSame(device); });
  });
  return common;
}

// One pass over the queue.
class Pass {
 public:
  explicit Pass(std::vector<NodeCapacity> nodes) : now_(std::move(nodes)), emptied_(Emptied(now_)) {
    for (const NodeCapacity& node : now_) slots_ += std::max(0, node.free_slots);
  }

  void Consider(const Gang& gang, Placement& out) {
    const Found found = gang.prepares ? TakeSlot(gang) : TakePlace(gang);
    if (found.assignment) {
      out.assigned.push_back(*found.assignment);
    } else {
      out.waiting.push_back({gang.job_id, found.why});
    }
  }

 private:
  struct Found {
    std::optional<Assignment> assignment;
    Why why = Why::kBusy;
  };
  // Gangs that need the same: when one does not fit, those behind it do not either.
  using Needs = std::tuple<int, int, int, bool, int64_t, std::string, double, std::vector<std::string>, bool>;

  Found TakePlace(const Gang& gang);
  Found TakeSlot(const Gang& gang);
  Why WhyNot(const Gang& gang);
  void Reserve(const Gang& gang);
  bool EndsInTime(const Gang& gang) const { return gang.takes <= reserved_from_; }
  Needs NeedsOf(const Gang& gang) const {
    return {gang.ranks, gang.least_ranks,      gang.threads, gang.gpu,        gang.device_memory_bytes,
            gang.arch,  gang.least_capability, gang.nodes,   EndsInTime(gang)};
  }

  const std::vector<int>& SuitsOf(const Gang& gang);

  std::vector<NodeCapacity> now_;
  const std::vector<NodeCapacity> emptied_;
  int slots_ = 0;                            // Free for preparations, on all nodes.
  std::map<Needs, std::vector<int>> suits_;  // By node.
  bool reserved_ = false;
  double reserved_from_ = 0;
  std::vector<NodeCapacity> later_;  // Free beside the reservation when it begins.
  std::vector<NodeCapacity> spare_;  // Free now, and not needed by it.
  std::map<Needs, Why> hopeless_;
};

Pass::Found Pass::TakePlace(const Gang& gang) {
  const auto known = hopeless_.find(NeedsOf(gang));
  if (known != hopeless_.end()) return {std::nullopt, known->second};
  const bool in_time = !reserved_ || EndsInTime(gang);
  const std::optional<Fit> fit = FindFit(gang, in_time ? now_ : spare_);
  if (!fit) {
    const Why why = WhyNot(gang);
    if (!reserved_ && why == Why::kBusy) Reserve(gang);
    hopeless_[NeedsOf(gang)] = why;
    return {std::nullopt, why};
  }
  Take(*fit, now_);
  if (reserved_) {
    if (!in_time) Take(*fit, later_);
    for (const Share& share : fit->shares) spare_[share.node] = Common(now_[share.node], later_[share.node]);
  }
  Assignment assignment{gang.job_id, fit->threads, {}};
  for (const Share& share : fit->shares) {
    for (int i = 0; i < share.ranks; ++i) {
      RankPlace& rank = assignment.ranks.emplace_back(RankPlace{now_[share.node].node_id, {}});
      if (gang.gpu) rank.device_uuids.push_back(share.gpus[static_cast<size_t>(i)].uuid);
    }
  }
  return {std::move(assignment), {}};
}

// Returns more than one job's holdings at a time, so the number of trials is the logarithm of that of running jobs.
void Pass::Reserve(const Gang& gang) {
  std::vector<Release> releases;
  for (size_t i = 0; i < now_.size(); ++i) {
    if (!MayUse(gang, now_[i])) continue;
    for (const Holding& held : now_[i].holdings) releases.push_back({held.ends, i, &held});
  }
  std::stable_sort(releases.begin(), releases.end(),
                   [](const Release& a, const Release& b) { return a.ends < b.ends; });
  const auto after = [&](size_t count) {
    std::vector<NodeCapacity> nodes = now_;
    for (size_t i = 0; i < count; ++i) Return(releases[i], nodes);
    return nodes;
  };
  size_t fails = 0, fits = releases.size();
  while (fits - fails > 1) {
    const size_t middle = fails + (fits - fails) / 2;
    (FindFit(gang, after(middle)) ? fits : fails) = middle;
  }
  std::vector<NodeCapacity> then = after(fits);
  const std::optional<Fit> fit = FindFit(gang, then);
  if (!fit) return;  // What this pass has placed stands in its way; the next one sees it as running.
  reserved_ = true;
  reserved_from_ = fits == 0 ? 0 : releases[fits - 1].ends;
  Take(*fit, then);
  later_ = std::move(then);
  spare_.clear();
  for (size_t i = 0; i < now_.size(); ++i) spare_.push_back(Common(now_[i], later_[i]));
  hopeless_.clear();  // What did not fit is behind it in the queue no more.
}

Why Pass::WhyNot(const Gang& gang) {
  if (now_.empty()) return Why::kNoWorker;
  std::vector<NodeCapacity> usable;
  std::copy_if(emptied_.begin(), emptied_.end(), std::back_inserter(usable),
               [&](const NodeCapacity& node) { return MayUse(gang, node); });
  if (usable.empty()) return Why::kAway;
  if (std::none_of(usable.begin(), usable.end(),
                   [&](const NodeCapacity& node) { return HasArch(gang, node); }))
    return Why::kOtherArch;
  if (!FindFit(gang, usable)) return Why::kTooLarge;
  return reserved_ && !EndsInTime(gang) && FindFit(gang, now_) ? Why::kReserved : Why::kBusy;
}

const std::vector<int>& Pass::SuitsOf(const Gang& gang) {
  std::vector<int>& suits = suits_[NeedsOf(gang)];
  if (suits.empty()) {
    for (const NodeCapacity& node : emptied_) suits.push_back(Suits(gang, node));
  }
  return suits;
}

Pass::Found Pass::TakeSlot(const Gang& gang) {
  if (now_.empty()) return {std::nullopt, Why::kNoWorker};
  if (slots_ == 0) return {std::nullopt, Why::kNoSlot};
  const std::vector<int>& suits = SuitsOf(gang);
  const auto rank = [&](size_t i) { return std::tuple(suits[i], now_[i].free_slots, now_[i].free_cores); };
  std::optional<size_t> best;
  for (size_t i = 0; i < now_.size(); ++i) {
    if (now_[i].free_slots > 0 && (!best || rank(i) > rank(*best))) best = i;
  }
  --now_[*best].free_slots;
  --slots_;
  return {Assignment{gang.job_id, std::max(1, gang.threads), {{now_[*best].node_id, {}}}}, {}};
}

std::string RanksOf(const Gang& gang) {
  const std::string each =
      gang.threads > 0 ? StrCat(gang.threads, gang.threads == 1 ? " core" : " cores") : "a whole node";
  const std::string with =
      gang.gpu
          ? StrCat(" and a GPU", gang.device_memory_bytes > 0
                                     ? StrCat(" with ", gang.device_memory_bytes / (1 << 20), " MiB free")
                                     : "")
          : "";
  const int ranks = gang.least_ranks > 0 ? gang.least_ranks : gang.ranks;
  if (ranks == 1) return StrCat(each, with);
  return StrCat(ranks, " ranks of ", each, with, " each");
}

}  // namespace

Placement Place(std::vector<Gang> gangs, std::vector<NodeCapacity> nodes) {
  std::sort(gangs.begin(), gangs.end(), [](const Gang& a, const Gang& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.order < b.order;
  });
  Placement placement;
  Pass pass(std::move(nodes));
  for (const Gang& gang : gangs) pass.Consider(gang, placement);
  return placement;
}

std::string Sentence(const Gang& gang, Why why) {
  switch (why) {
    case Why::kNoWorker: return "no worker is connected that takes work";
    case Why::kAway:
      return StrCat("its data or checkpoint lies on node ", gang.nodes.empty() ? "" : gang.nodes.front(),
                    ", which is not connected or takes no work");
    case Why::kOtherArch:
      return StrCat("it began on a device of kind ", gang.arch, ", and no node has one that it may use");
    case Why::kTooLarge:
      return StrCat("it needs ", RanksOf(gang), ", more than the nodes that it may use have");
    case Why::kBusy: return StrCat("it needs ", RanksOf(gang), ", and not enough is free");
    case Why::kReserved: return "what is free is kept for a larger job that waits longer";
    case Why::kNoSlot: return "every node prepares as many jobs as it may at a time";
  }
  return "";
}

std::vector<std::string> Details(const Gang& gang, const std::vector<NodeCapacity>& nodes) {
  std::vector<std::string> lines;
  for (const NodeCapacity& node : nodes) {
    std::string line =
        StrCat("node ", node.node_id, ": ", node.free_cores, " of ", node.cores, " cores free");
    if (gang.gpu) StrAppend(&line, ", ", node.free_gpus.size(), " GPU(s) free");
    if (gang.gpu && node.excluded_gpus > 0)
      StrAppend(&line, ", ", node.excluded_gpus, " GPU(s) take no job (ftctl nodes says why)");
    if (gang.prepares) StrAppend(&line, ", ", node.free_slots, " free slot(s) for preparations");
    if (!MayUse(gang, node)) StrAppend(&line, "; the job's data or checkpoint is not there");
    if (!HasArch(gang, node)) StrAppend(&line, "; it has no device of kind ", gang.arch);
    lines.push_back(std::move(line));
    if (lines.size() == 20) break;
  }
  return lines;
}

}  // namespace ft::schedule
