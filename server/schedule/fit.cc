#include "server/schedule/fit.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace ft::schedule {
namespace {

// Threads of a rank when `ranks` of them share the node.
int ThreadsOn(const NodeCapacity& node, const Gang& gang, int ranks) {
  if (gang.threads > 0) return gang.threads;
  return std::max(1, node.cores / std::max(1, ranks));
}

bool IsUsable(const Gang& gang, const Device& device) {
  if (!gang.arch.empty() && device.arch != gang.arch) return false;
  if (device.shared && gang.ranks > 1) return false;
  return device.free_memory_bytes >= gang.device_memory_bytes &&
         (gang.least_capability == 0 || std::atof(device.arch.c_str()) >= gang.least_capability);
}

// How many ranks with `threads` each the node can take.
int Room(const NodeCapacity& node, const Gang& gang, int threads) {
  const int room = node.free_cores / threads;
  if (!gang.gpu) return gang.arch.empty() || node.cpu_arch == gang.arch ? room : 0;
  const auto usable = std::count_if(node.free_gpus.begin(), node.free_gpus.end(),
                                    [&](const Device& device) { return IsUsable(gang, device); });
  return std::min(room, static_cast<int>(usable));
}

// The smallest cards that are large enough leave the large ones for those who need them.
std::vector<Device> Cards(const NodeCapacity& node, const Gang& gang, int count) {
  std::vector<Device> usable;
  if (!gang.gpu) return usable;
  std::copy_if(node.free_gpus.begin(), node.free_gpus.end(), std::back_inserter(usable),
               [&](const Device& device) { return IsUsable(gang, device); });
  std::stable_sort(usable.begin(), usable.end(), [](const Device& a, const Device& b) {
    return a.free_memory_bytes < b.free_memory_bytes;
  });
  usable.resize(static_cast<size_t>(count));
  return usable;
}

std::optional<Fit> OnOneNode(const Gang& gang, const std::vector<NodeCapacity>& nodes) {
  std::optional<size_t> best;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!MayUse(gang, nodes[i]) || Room(nodes[i], gang, ThreadsOn(nodes[i], gang, gang.ranks)) < gang.ranks)
      continue;
    if (!best || nodes[i].free_cores < nodes[*best].free_cores) best = i;
  }
  if (!best) return std::nullopt;
  const NodeCapacity& node = nodes[*best];
  return Fit{ThreadsOn(node, gang, gang.ranks), {{*best, gang.ranks, Cards(node, gang, gang.ranks)}}};
}

std::optional<Fit> OverNodes(const Gang& gang, const std::vector<NodeCapacity>& nodes) {
  if (gang.ranks < 2) return std::nullopt;
  Fit fit{std::max(1, gang.threads), {}};
  std::vector<size_t> order(nodes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return nodes[a].free_cores > nodes[b].free_cores; });
  int left = gang.ranks;
  for (const size_t i : order) {
    if (!MayUse(gang, nodes[i])) continue;
    const int take = std::min(left, Room(nodes[i], gang, fit.threads));
    if (take == 0) continue;
    fit.shares.push_back({i, take, Cards(nodes[i], gang, take)});
    left -= take;
    if (left == 0) return fit;
  }
  return std::nullopt;
}

}  // namespace

bool MayUse(const Gang& gang, const NodeCapacity& node) {
  return gang.nodes.empty() ||
         std::find(gang.nodes.begin(), gang.nodes.end(), node.node_id) != gang.nodes.end();
}

bool HasArch(const Gang& gang, const NodeCapacity& node) {
  if (gang.arch.empty()) return true;
  if (!gang.gpu) return node.cpu_arch == gang.arch;
  const auto has = [&](const std::vector<Device>& devices) {
    return std::any_of(devices.begin(), devices.end(),
                       [&](const Device& device) { return device.arch == gang.arch; });
  };
  return has(node.free_gpus) || std::any_of(node.holdings.begin(), node.holdings.end(),
                                            [&](const Holding& held) { return has(held.gpus); });
}

std::optional<Fit> FindFit(const Gang& gang, const std::vector<NodeCapacity>& nodes) {
  const int least = gang.least_ranks > 0 ? gang.least_ranks : gang.ranks;
  for (Gang trial = gang; trial.ranks >= least && trial.ranks > 0; trial.ranks /= 2) {
    std::optional<Fit> fit = OnOneNode(trial, nodes);
    if (!fit) fit = OverNodes(trial, nodes);
    if (fit) return fit;
  }
  return std::nullopt;
}

int Suits(const Gang& gang, const NodeCapacity& emptied) {
  if (!MayUse(gang, emptied)) return 0;
  const int ranks = gang.least_ranks > 0 ? gang.least_ranks : gang.ranks;
  if (Room(emptied, gang, ThreadsOn(emptied, gang, ranks)) >= ranks) return 2;
  return Room(emptied, gang, std::max(1, gang.threads)) > 0 ? 1 : 0;
}

std::vector<NodeCapacity> Emptied(std::vector<NodeCapacity> nodes) {
  for (NodeCapacity& node : nodes) {
    node.free_cores = node.cores;
    for (const Holding& held : node.holdings)
      node.free_gpus.insert(node.free_gpus.end(), held.gpus.begin(), held.gpus.end());
    node.holdings.clear();
  }
  return nodes;
}

void Take(const Fit& fit, std::vector<NodeCapacity>& nodes) {
  for (const Share& share : fit.shares) {
    NodeCapacity& node = nodes[share.node];
    node.free_cores -= share.ranks * fit.threads;
    std::erase_if(node.free_gpus, [&](const Device& device) {
      return std::any_of(share.gpus.begin(), share.gpus.end(),
                         [&](const Device& taken) { return taken.IsSame(device); });
    });
  }
}

}  // namespace ft::schedule
