// One rank on this node, from the agent's side: ships its records, logs, checkpoints and adapter to the
// coordinator, in that order, and its end last, so that whoever sees the end has everything before it. What
// was acknowledged is noted in `shipped.json` beside the rank's files; a restarted agent goes on there. All
// on the agent's loop.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/process/rank_process.h"
#include "worker/agent/client.h"

namespace ft::agent {

using process::RankKey;

// What a run needs from the agent.
struct RunHost {
  Client* client = nullptr;
  std::function<std::string()> session;                    // Empty while there is none.
  std::function<void()> session_lost;                      // The coordinator does not know it any more.
  std::function<void(const RankKey&, int signal)> signal;  // To the rank's process group.
  std::function<void(const RankKey&)> finished;            // Everything is delivered, or is wanted by no one.
  std::function<void(const RankKey&, const wpb::RankRecord&)> observe;  // For metrics.
};

class RankRun : public std::enable_shared_from_this<RankRun> {
 public:
  RankRun(RankKey key, wpb::AttemptKind kind, std::filesystem::path run_dir, const RunHost& host);

  const RankKey& key() const { return key_; }
  wpb::AttemptKind kind() const { return kind_; }
  std::filesystem::path AttemptDir() const { return run_dir_ / "attempts" / std::to_string(key_.epoch); }
  std::filesystem::path RankDir() const { return AttemptDir() / ("rank" + std::to_string(key_.rank)); }

  // From the supervisor.
  void OnProcess(pid_t pid, UniqueFd control, std::optional<int> wait_status);
  void OnExited(int wait_status);
  void OnNotStarted(const std::string& message);

  // The coordinator wants it: ship. Before that nothing is sent.
  void Adopt() { adopted_ = true; }
  // Its epoch is over: kill it and drop what it wrote since.
  void Abandon();
  // Asks it to stop, with a checkpoint through its control socket or by SIGTERM; SIGKILL after the grace.
  void Stop(bool checkpoint, absl::Duration grace);
  void TakeCheckpoint();

  // Moves one step on: at most one call is in flight.
  void Tick();
  wpb::RankInventory Inventory() const;
  bool exited() const { return wait_status_.has_value() || not_started_; }
  // Bytes written and not yet acknowledged.
  int64_t SpoolBytes() const;

 private:
  struct LogTail {
    const char* stream;
    int64_t acked = 0;
  };

  void LoadShipped();
  void SaveShipped();
  void ApplyStop();
  bool ReportRunning();
  bool ShipRecords();
  void OnRecordsAcked(const Status& status, uint64_t acked);
  bool CommitNextCheckpoint();
  bool ShipLog(LogTail& tail);
  bool ShipAdapter();
  void ListAdapter();
  void ReportEnd();
  // Notes the outcome of a call; true when it succeeded.
  bool Settled(const Status& status);
  wpb::RankRef Ref() const;

  const RankKey key_;
  const wpb::AttemptKind kind_;
  const std::filesystem::path run_dir_;
  const RunHost& host_;
  pid_t pid_ = 0;
  UniqueFd control_;
  std::optional<int> wait_status_;
  bool not_started_ = false;
  std::string not_started_message_;
  bool adopted_ = false;
  bool abandoned_ = false;
  bool finished_ = false;
  bool in_flight_ = false;
  bool reported_running_ = false;
  absl::Time retry_at_;
  absl::Duration backoff_ = absl::Milliseconds(100);

  struct StopRequest {
    bool checkpoint;
    absl::Time kill_at;
  };
  std::optional<StopRequest> stop_;
  bool stop_applied_ = false;

  // Shipped so far (in shipped.json).
  uint64_t record_offset_ = 0;
  uint64_t record_sequence_ = 0;
  LogTail stdout_{"stdout"};
  LogTail stderr_{"stderr"};
  std::string adapter_path_;  // Of a SUCCEEDED result, relative to the run folder.
  size_t adapter_files_done_ = 0;
  std::vector<wpb::CheckpointRecord> checkpoints_;  // Acknowledged as records, not yet committed.

  // The batch in flight.
  uint64_t batch_offset_ = 0;
  std::vector<wpb::RankRecord> batch_;
  std::vector<std::filesystem::path> adapter_files_;
  bool adapter_listed_ = false;
  bool records_broken_ = false;
};

}  // namespace ft::agent
