// A rank of this node as a process: its name in the cluster, and what names the process for ever (pid, boot
// id and start time). Written as JSON in state files and in messages between the worker's two processes.
#pragma once

#include <sys/types.h>

#include <compare>
#include <optional>
#include <string>

#include "core/base/file.h"
#include "core/base/status.h"
#include "nlohmann/json.hpp"

namespace ft::process {

struct RankKey {
  std::string job_id;
  int64_t epoch = 0;
  int rank = 0;
  auto operator<=>(const RankKey&) const = default;
};

struct RankProcess {
  RankKey key;
  std::string kind;  // PREPARE | TRAIN
  pid_t pid = 0;
  std::string boot_id;
  uint64_t start_ticks = 0;  // Start time as /proc/PID/stat has it.
  std::optional<int> wait_status;
  bool strict = false;     // Must not outlive the node's lease.
  std::string end_reason;  // What the supervisor killed it for; empty = nothing.
  UniqueFd pidfd;          // While it runs.
  UniqueFd control;        // Our end of its control socket, kept for the next agent.
};

nlohmann::json ToJson(const RankProcess& rank);
StatusOr<RankProcess> RankFromJson(const nlohmann::json& json);
nlohmann::json ToJson(const RankKey& key);
RankKey KeyFromJson(const nlohmann::json& json);

}  // namespace ft::process
