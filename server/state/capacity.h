// What nodes have, hold and could give, and what a job needs of them, as the scheduler sees it. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/schedule/place.h"
#include "server/state/cluster_state.h"

namespace ft::state {

// Capacity of the nodes that take work, by id.
std::vector<schedule::NodeCapacity> CapacitiesOf(const ClusterState& state, absl::Time now);

schedule::Gang GangOf(const ClusterState& state, const spb::StoredJob& job);

// Whether the job waits to be placed, and its back-off is over.
bool Waits(const ClusterState& state, const spb::StoredJob& job, absl::Time now);

// All that wait, by job id.
std::map<std::string, schedule::Gang> WaitingGangs(const ClusterState& state, absl::Time now);

// Why the next pass would not start the job, with the numbers of the moment; nothing when it does not wait, or would start.
struct WaitReason {
  schedule::Why why;
  std::string sentence;
  std::vector<std::string> details;
};
std::optional<WaitReason> WhyWaits(const ClusterState& state, const std::string& job_id, absl::Time now);

}  // namespace ft::state
