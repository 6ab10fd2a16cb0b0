// All that history_check looks at, read once: the clients' and ranks' history, the coordinator's rows and
// events, what it keeps of records and logs, and what workers have on disk.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/records/records.h"
#include "nlohmann/json.hpp"
#include "server/state/cluster_state.h"

namespace ft::check {

struct Evidence {
  std::filesystem::path coordinator;
  std::vector<std::filesystem::path> workers;
  std::vector<nlohmann::json> history;
  state::ClusterState state;
  std::vector<state::pb::Event> events;  // Oldest first.
};

// The store is opened as a coordinator opens it, so none may run on it.
StatusOr<Evidence> Collect(const std::filesystem::path& coordinator,
                           const std::vector<std::filesystem::path>& workers,
                           const std::filesystem::path& history);

// What the coordinator keeps of one rank.
StatusOr<std::vector<records::Record>> KeptRecords(const Evidence& evidence, const std::string& job,
                                                   int64_t epoch, int rank);

}  // namespace ft::check
