// Where a gang fits, given what each node has free. Pure.
#pragma once

#include <optional>
#include <vector>

#include "server/schedule/place.h"

namespace ft::schedule {

// Ranks of a gang on one node.
struct Share {
  size_t node = 0;  // Index into the capacities.
  int ranks = 0;
  std::vector<Device> gpus;  // One a rank, if the gang takes any.
};

struct Fit {
  int threads = 0;  // Threads of each rank: all have the same number, because the arithmetic depends on it.
  std::vector<Share> shares;
};

bool MayUse(const Gang& gang, const NodeCapacity& node);
// Whether the node has a device of the kind that the gang needs, free or not.
bool HasArch(const Gang& gang, const NodeCapacity& node);

// The most ranks that it takes and that fit. On one node, the one with the fewest cores left over; else over several, those with most
// free cores first.
std::optional<Fit> FindFit(const Gang& gang, const std::vector<NodeCapacity>& nodes);

// How well the node, empty, could run the gang: 2 all of its ranks, or as few as it takes, 1 some of them, 0 none.
int Suits(const Gang& gang, const NodeCapacity& emptied);

// As if nothing ran.
std::vector<NodeCapacity> Emptied(std::vector<NodeCapacity> nodes);

void Take(const Fit& fit, std::vector<NodeCapacity>& nodes);

}  // namespace ft::schedule
