#include "server/schedule/place.h"

#include <algorithm>
#include <optional>

#include "core/base/str_cat.h"

namespace ft::schedule {
namespace {

// Threads of a rank when `ranks` of them share the node.
int ThreadsOn(const NodeCapacity& node, const Gang& gang, int ranks) {
  if (gang.threads > 0) return gang.threads;
  return std::max(1, node.cores / std::max(1, ranks));
}

int UsableGpus(const NodeCapacity& node, const Gang& gang) {
  return static_cast<int>(std::count_if(
      node.free_gpus.begin(), node.free_gpus.end(),
      [&](const FreeDevice& device) { return device.free_memory_bytes >= gang.device_memory_bytes; }));
}

bool MayUse(const Gang& gang, const NodeCapacity& node) {
  return gang.nodes.empty() ||
         std::find(gang.nodes.begin(), gang.nodes.end(), node.node_id) != gang.nodes.end();
}

// How many ranks with `threads` each the node can take now.
int Room(const NodeCapacity& node, const Gang& gang, int threads) {
  int room = gang.takes_cores ? node.free_cores / threads : gang.ranks;
  if (gang.gpu) room = std::min(room, UsableGpus(node, gang));
  return room;
}

std::vector<std::string> TakeGpu(NodeCapacity& node, const Gang& gang) {
  if (!gang.gpu) return {};
  // The smallest card that is large enough leaves the large ones for those who need them.
  auto best = node.free_gpus.end();
  for (auto it = node.free_gpus.begin(); it != node.free_gpus.end(); ++it) {
    if (it->free_memory_bytes < gang.device_memory_bytes) continue;
    if (best == node.free_gpus.end() || it->free_memory_bytes < best->free_memory_bytes) best = it;
  }
  std::vector<std::string> uuids{best->uuid};
  node.free_gpus.erase(best);
  return uuids;
}

void Take(NodeCapacity& node, const Gang& gang, int ranks, Assignment& out) {
  for (int i = 0; i < ranks; ++i) {
    if (gang.takes_cores) node.free_cores -= out.threads;
    out.ranks.push_back({node.node_id, TakeGpu(node, gang)});
  }
}

// The whole gang on one node: the one with the fewest cores left over.
std::optional<Assignment> OnOneNode(const Gang& gang, std::vector<NodeCapacity>& nodes) {
  NodeCapacity* best = nullptr;
  for (NodeCapacity& node : nodes) {
    if (!MayUse(gang, node)) continue;
    if (Room(node, gang, ThreadsOn(node, gang, gang.ranks)) < gang.ranks) continue;
    if (best == nullptr || node.free_cores < best->free_cores) best = &node;
  }
  if (best == nullptr) return std::nullopt;
  Assignment out{gang.job_id, ThreadsOn(*best, gang, gang.ranks), {}};
  Take(*best, gang, gang.ranks, out);
  return out;
}

// Over several nodes, fullest first. All ranks have the same number of threads, because the arithmetic
// depends on it.
std::optional<Assignment> OverNodes(const Gang& gang, std::vector<NodeCapacity>& nodes) {
  if (gang.ranks < 2) return std::nullopt;
  Assignment out{gang.job_id, std::max(1, gang.threads), {}};
  std::vector<NodeCapacity> after = nodes;
  std::stable_sort(after.begin(), after.end(),
                   [](const NodeCapacity& a, const NodeCapacity& b) { return a.free_cores > b.free_cores; });
  int left = gang.ranks;
  for (NodeCapacity& node : after) {
    if (!MayUse(gang, node)) continue;
    const int take = std::min(left, Room(node, gang, out.threads));
    Take(node, gang, take, out);
    left -= take;
    if (left == 0) break;
  }
  if (left > 0) return std::nullopt;
  nodes = std::move(after);
  return out;
}

std::string WhyNot(const Gang& gang, const std::vector<NodeCapacity>& nodes) {
  if (nodes.empty()) return "no worker is connected";
  const bool present =
      std::any_of(nodes.begin(), nodes.end(), [&](const NodeCapacity& node) { return MayUse(gang, node); });
  if (!present)
    return StrCat("its data or checkpoint lies on node ", gang.nodes.front(), ", which is not connected");
  int cores = 0, free = 0, gpus = 0;
  for (const NodeCapacity& node : nodes) {
    if (!MayUse(gang, node)) continue;
    cores = std::max(cores, node.cores);
    free = std::max(free, node.free_cores);
    gpus += UsableGpus(node, gang);
  }
  if (gang.gpu && gpus < gang.ranks) {
    return StrCat("it needs ", gang.ranks, " free GPU(s) with ", gang.device_memory_bytes, " bytes, ", gpus,
                  " are free");
  }
  const int threads = std::max(1, gang.threads);
  if (threads > cores) return StrCat("a rank needs ", threads, " cores, the largest node has ", cores);
  return StrCat("it needs ", gang.ranks, " rank(s) of ",
                gang.threads > 0 ? StrCat(gang.threads, " cores") : "a whole node", ", at most ", free,
                " cores are free on a node");
}

}  // namespace

Placement Place(std::vector<Gang> gangs, std::vector<NodeCapacity> nodes) {
  std::sort(gangs.begin(), gangs.end(), [](const Gang& a, const Gang& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.order < b.order;
  });
  Placement placement;
  for (const Gang& gang : gangs) {
    std::optional<Assignment> assignment = OnOneNode(gang, nodes);
    if (!assignment) assignment = OverNodes(gang, nodes);
    if (assignment) {
      placement.assigned.push_back(*std::move(assignment));
    } else {
      placement.waiting.push_back({gang.job_id, WhyNot(gang, nodes)});
    }
  }
  return placement;
}

}  // namespace ft::schedule
