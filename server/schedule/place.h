// Place(): which waiting gangs start now, and where. Pure; no clock, no I/O.
//
// Gangs are taken by priority, then submit order, all ranks or none. The first one that does not fit gets a reservation:
// the place where it fits earliest, going by when running jobs are expected to end. A gang behind it starts only on what
// the reservation leaves, or if it is expected to end before the reservation begins (EASY backfilling: Lifka, "The
// ANL/IBM SP scheduling system", 1995). So a large gang waits no longer than the jobs that ran when it came.
//
// Preparations take no cores but a slot of their node, and are spread: each goes to the node with most free slots among
// those that could train the job too.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace ft::schedule {

inline constexpr double kUnknown = std::numeric_limits<double>::infinity();

// A card, a MIG slice, or one of the slots of a card that jobs share.
struct Device {
  std::string uuid;
  int64_t free_memory_bytes = 0;  // Of a slot, at most its part.
  std::string arch;               // Compute capability, as "8.0".
  int slot = 0;
  bool shared =
      false;  // There are other slots: for gangs of one rank only, since ranks of a gang need a card each.

  bool IsSame(const Device& other) const { return uuid == other.uuid && slot == other.slot; }
};

// What a running attempt holds on a node.
struct Holding {
  double ends =
      0;  // Seconds from now; jobs whose end is not known come after all whose is, in the order they started.
  int cores = 0;
  std::vector<Device> gpus;
};

struct NodeCapacity {
  std::string node_id;
  int cores = 0;  // All of the node.
  int free_cores = 0;
  std::vector<Device> free_gpus = {};  // Without a rank.
  int excluded_gpus = 0;               // That take no job now, and are not among those.
  std::string cpu_arch = {};
  int free_slots = 0;  // For preparations.
  std::vector<Holding> holdings = {};
};

struct Gang {
  std::string job_id;
  int ranks = 1;        // That it takes: the most, where it takes fewer as well.
  int least_ranks = 0;  // It takes half of `ranks`, and half of that, down to these; 0 = it takes `ranks`.
  int threads = 0;      // Threads of a rank; 0 = the node's cores divided by the ranks on it.
  bool gpu = false;     // Each rank takes one card or slice as well.
  int64_t device_memory_bytes = 0;  // Least free memory of that card.
  std::string arch;                 // Kind of device, where numbers must not change any more; empty = any.
  double least_capability = 0;      // Compute capability of the card, as 8.0.
  int priority = 0;
  int64_t order = 0;  // Submit order; smaller is earlier.
  // The only nodes it may use (that see its data or checkpoint); empty = any.
  std::vector<std::string> nodes = {};
  bool prepares = false;    // Takes a slot, and none of its other needs.
  double takes = kUnknown;  // Seconds until it ends, if it starts now.
};

struct RankPlace {
  std::string node_id;
  std::vector<std::string> device_uuids;
};

struct Assignment {
  std::string job_id;
  int threads = 0;               // Threads of each rank.
  std::vector<RankPlace> ranks;  // Index = rank.
};

// Why a gang waits. It does not change while other jobs come and go, so that a waiting job's row does not either.
enum class Why {
  kNoWorker,   // No node takes work.
  kAway,       // Its data or checkpoint lies on a node that takes none now.
  kOtherArch,  // No node has the kind of device that it began on.
  kTooLarge,   // All nodes that it may use, empty, are too small.
  kBusy,       // Not enough is free.
  kReserved,   // Enough is free, and kept for a gang that waits longer.
  kNoSlot,     // Every node prepares as much as it may.
};

struct Unplaced {
  std::string job_id;
  Why why = Why::kBusy;
};

struct Placement {
  std::vector<Assignment> assigned;
  std::vector<Unplaced> waiting;  // In queue order.
};

Placement Place(std::vector<Gang> gangs, std::vector<NodeCapacity> nodes);

// One sentence for people, of the gang's own needs.
std::string Sentence(const Gang& gang, Why why);

// What is there now, for somebody who asks why the gang waits: one sentence a fact, with the numbers of the moment.
std::vector<std::string> Details(const Gang& gang, const std::vector<NodeCapacity>& nodes);

}  // namespace ft::schedule
