// Place(): which waiting gangs start now, and where. Pure; no clock, no I/O. Gangs are taken by priority,
// then submit order, all ranks or none. A gang that does not fit does not stop smaller ones behind it from
// starting (backfill).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ft::schedule {

struct FreeDevice {
  std::string uuid;
  int64_t free_memory_bytes = 0;
};

struct NodeCapacity {
  std::string node_id;
  int cores = 0;  // All of the node.
  int free_cores = 0;
  std::vector<FreeDevice> free_gpus;  // Cards and MIG slices without a rank.
};

struct Gang {
  std::string job_id;
  int ranks = 1;
  int threads = 0;                  // Of a rank; 0 = the node's cores divided by the ranks on it.
  bool gpu = false;                 // Each rank takes one card or slice as well.
  int64_t device_memory_bytes = 0;  // Least free memory of that card.
  int priority = 0;
  int64_t order = 0;  // Submit order; smaller is earlier.
  std::vector<std::string>
      nodes;                // The only nodes it may use (that see its data or checkpoint); empty = any.
  bool takes_cores = true;  // False for preparation, which runs beside training.
};

struct RankPlace {
  std::string node_id;
  std::vector<std::string> device_uuids;
};

struct Assignment {
  std::string job_id;
  int threads = 0;               // Of each rank.
  std::vector<RankPlace> ranks;  // Index = rank.
};

struct Unplaced {
  std::string job_id;
  std::string reason;  // One sentence for people.
};

struct Placement {
  std::vector<Assignment> assigned;
  std::vector<Unplaced> waiting;  // In queue order.
};

Placement Place(std::vector<Gang> gangs, std::vector<NodeCapacity> nodes);

}  // namespace ft::schedule
