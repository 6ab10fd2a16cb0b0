// The ranks of this node, each with a durable state file `<dir>/<job>.<epoch>.<rank>.json`: pid, boot id and start time
// (which together name a process for ever), and its exit status once it has one. A file is removed when the coordinator
// has taken the rank's result (FORGET). One thread.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "worker/supervisor/proc.h"

namespace ft::supervisor {

struct RankKey {
  std::string job_id;
  int64_t epoch = 0;
  int rank = 0;
  auto operator<=>(const RankKey&) const = default;
};

struct RankProcess {
  RankKey key;
  std::string kind;         // PREPARE | TRAIN
  pid_t pid = 0;
  std::string boot_id;
  uint64_t start_ticks = 0; // Of /proc/PID/stat.
  std::optional<int> wait_status;
  UniqueFd pidfd;           // While it runs.
  UniqueFd control;         // Our end of its control socket, kept for the next agent.
};

nlohmann::json ToJson(const RankProcess& rank);
StatusOr<RankProcess> RankFromJson(const nlohmann::json& json);
nlohmann::json ToJson(const RankKey& key);
RankKey KeyFromJson(const nlohmann::json& json);

class RankTable {
 public:
  // Reads the state files. Processes of an earlier supervisor that still live are killed: they should have died with it.
  static StatusOr<RankTable> Open(const std::filesystem::path& dir);

  Status Add(RankProcess rank);
  // Stores the exit status durably. Call before the process is reaped.
  Status RecordExit(const RankKey& key, int wait_status);
  Status Forget(const RankKey& key);
  RankProcess* Find(const RankKey& key);
  std::map<RankKey, RankProcess>& ranks() { return ranks_; }

 private:
  std::filesystem::path PathOf(const RankKey& key) const;
  Status Save(const RankProcess& rank);
  std::filesystem::path dir_;
  std::map<RankKey, RankProcess> ranks_;
};

}  // namespace ft::supervisor
