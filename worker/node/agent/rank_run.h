// One rank on this node, from the agent's side: ships its records, checkpoints and logs to the coordinator in
// turns, then its adapter, and its end last, so that whoever sees the end has everything before it. What was
// acknowledged is noted in `shipped.json` beside the rank's files, at most once a second; a restarted agent
// goes on there, and what it sends again the coordinator drops. All on the agent's loop.
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
#include "core/records/record_file.h"
#include "finetune/v1/jobs.pb.h"
#include "worker/node/agent/client.h"
#include "worker/node/agent/file_thread.h"
#include "worker/node/agent/log_tail.h"
#include "worker/node/agent/watchdog.h"

namespace ft::agent {

using process::RankKey;

// What a run needs from the agent.
struct RankRunDeps {
  Client* client = nullptr;
  FileThread* files = nullptr;
  std::function<std::string()> session;                    // Empty while there is none.
  std::function<void()> session_lost;                      // The coordinator does not know it any more.
  std::function<void(const RankKey&, int signal)> signal;  // To the rank's process group.
  std::function<void(const RankKey&)> finished;            // Everything is delivered, or is wanted by no one.
  std::function<void(const RankKey&, const wpb::RankRecord&)> observe;  // For metrics.
  std::function<std::filesystem::path(const RankKey&)>
      checkpoint_folder;  // What checkpoints' paths are relative to.
  std::function<void(const RankKey&, const std::string& path)> drop_checkpoint;
  HangLimits hang_limits;
  int64_t log_bytes = 0;  // Kept of each of a rank's output files.
};

class RankRun : public std::enable_shared_from_this<RankRun> {
 public:
  RankRun(RankKey key, wpb::AttemptKind kind, std::filesystem::path run_dir, const RankRunDeps& deps);

  const RankKey& key() const { return key_; }
  wpb::AttemptKind kind() const { return kind_; }
  std::filesystem::path AttemptDir() const { return run_dir_ / "attempts" / std::to_string(key_.epoch); }
  std::filesystem::path RankDir() const { return AttemptDir() / ("rank" + std::to_string(key_.rank)); }

  // From the supervisor.
  void OnProcess(const process::RankProcess& process, UniqueFd control);
  // `end_reason`: what the supervisor killed it for; empty = it ended by itself or by our signal.
  void OnExited(int wait_status, const std::string& end_reason);
  // `failure_class`: a name of finetune.v1.FailureClass; empty = unknown.
  void OnNotStarted(const std::string& failure_class, const std::string& message);

  // The coordinator wants it: ship. Before that nothing is sent.
  void Adopt() { adopted_ = true; }
  // Its epoch is over: kill it and drop what it wrote since.
  void Abandon();
  // Asks it to stop, with a checkpoint through its control socket or by SIGTERM; SIGKILL after the grace.
  void Stop(bool checkpoint, absl::Duration grace);
  // At the rank's next step; once it runs, where it does not yet.
  void TakeCheckpoint();
  // Where rank 0 of a gang over several nodes listens; the other ranks are told, now or once they run.
  void SetRendezvous(const std::string& address);

  // Moves one step on: at most one call is in flight.
  void Tick();
  wpb::RankInventory Inventory() const;
  bool exited() const { return wait_status_.has_value() || not_started_; }
  // Bytes written and not yet acknowledged.
  int64_t SpoolBytes() const;

 private:
  void LoadShipped();
  void SaveShipped();
  // Gives back the disk of output files that have grown too long.
  void TrimLogs();
  void ApplyStop();
  void TellRendezvous();
  void TellCheckpoint();
  // Reads what the rank wrote since, coordinator or not, and kills it when it hangs.
  void PollRecords();
  // Remembers why the rank ended, for the coordinator; the first reason counts.
  void RecordCause(finetune::v1::FailureClass failure_class, const std::string& message);
  // This node's disk did not answer: what comes next waits a while. Always true.
  bool Backoff(const Status& why);
  bool ReportRunning();
  // The next thing that there is to ship; false = nothing. Kinds take turns: records that come as fast as
  // they are taken must not keep checkpoints and logs waiting.
  bool ShipNext();
  bool ShipRecords();
  void OnRecordsAcked(const Status& status, uint64_t acked);
  bool CommitNextCheckpoint();
  // While the coordinator is away checkpoints go on: the newest two that it has not heard of are kept.
  void DropUncommitted();
  bool ShipStdout() { return ShipLog(stdout_); }
  bool ShipStderr() { return ShipLog(stderr_); }
  bool ShipLog(LogTail& tail);
  bool ShipAdapter();
  Status ListAdapter();
  void ReportEnd();
  // Notes the outcome of a call; true when it succeeded.
  bool OnCallDone(const Status& status);
  wpb::RankRef Ref() const;

  const RankKey key_;
  const wpb::AttemptKind kind_;
  const std::filesystem::path run_dir_;
  const RankRunDeps& deps_;
  pid_t pid_ = 0;
  UniqueFd control_;
  std::optional<int> wait_status_;
  bool not_started_ = false;
  std::string failure_class_;  // Our own evidence; empty = none.
  std::string message_;
  std::string rendezvous_;
  bool checkpoint_wanted_ = false;  // And not told yet.
  records::FrameReader follower_;
  Watchdog watchdog_;
  bool has_result_ = false;
  uint64_t oom_kills_ = 0;  // OOM kills of this machine, some seconds before the rank was last seen running.
  absl::Duration oom_looked_;
  bool adopted_ = false;
  bool abandoned_ = false;
  bool finished_ = false;
  bool in_flight_ = false;
  bool reported_running_ = false;
  size_t next_kind_ = 0;  // The kind that ShipNext() tries first.
  absl::Time retry_at_;
  absl::Time warned_at_ = absl::InfinitePast();  // When a disk without room was last told.
  absl::Duration backoff_ = absl::Milliseconds(100);

  struct StopRequest {
    bool checkpoint;
    absl::Time kill_at;
  };
  std::optional<StopRequest> stop_;
  bool stop_applied_ = false;

  // Shipped so far (in shipped.json, as it was at saved_at_ unless something changed since).
  bool shipped_changed_ = false;
  absl::Time saved_at_;
  uint64_t record_offset_ = 0;
  uint64_t record_sequence_ = 0;
  LogTail stdout_, stderr_;
  std::string adapter_path_;  // Path of a SUCCEEDED result, relative to the run folder.
  size_t adapter_files_done_ = 0;
  std::string adapter_digest_;  // Digest of the file that is being sent; empty = not made yet.
  std::vector<wpb::CheckpointRecord> checkpoints_;  // Acknowledged as records, not yet committed.
  std::vector<std::string>
      written_;  // Folders of checkpoints whose commit was never asked for, oldest first.

  // The batch in flight.
  uint64_t batch_offset_ = 0;
  std::vector<wpb::RankRecord> batch_;
  std::vector<std::filesystem::path> adapter_files_;
  bool adapter_listed_ = false;
  bool records_broken_ = false;
};

}  // namespace ft::agent
