// The worker's first process: one thread, no gRPC. Starts ranks when the agent asks, in process groups of
// their own, with one end of a socketpair as descriptor 3; hands the other end to each new agent; writes exit
// statuses down before it reaps; and starts the agent again when it dies. Ranks and agent die with it.
//
// Messages from the agent:  {op: start, job_id, epoch, rank, kind, strict, argv, env, cwd, stdout, stderr}
//                           {op: signal, job_id, epoch, rank, signal}   to the rank's whole group
//                           {op: forget, job_id, epoch, rank}
//                           {op: lease, until_ms}   boot clock; strict ranks are killed when it has passed,
//                           whether the agent lives, hangs or is gone
//                           {op: drained}   nothing is left to stop or to deliver
// Messages to the agent:    {op: hello, incarnation, boot_id}
//                           {op: drain, grace_ms}   checkpoint, stop and deliver everything, within that time
//                           {op: rank, ...state..., new: bool} with the control descriptor while it runs
//                           {op: ready} after the ranks that were there already
//                           {op: failed, job_id, epoch, rank, message, failure_class}  it could not be
//                           started {op: exited, job_id, epoch, rank, wait_status, end_reason}
#pragma once

#include <deque>
#include <filesystem>
#include <string>
#include <vector>

#include "core/process/channel.h"
#include "worker/node/supervisor/rank_table.h"

namespace ft::supervisor {

struct SupervisorOptions {
  std::filesystem::path data_dir;
  std::vector<std::string> agent_argv;  // Started with descriptor 3 = its end of the channel.
  // Waits before an agent that died is started again double up to this, and start small again after it lived
  // as long.
  int64_t max_backoff_ms = 10'000;
  // From SIGTERM or SIGINT: how long the agent may take to checkpoint and deliver what runs here.
  int64_t stop_grace_ms = 900'000;
};

class Supervisor {
 public:
  explicit Supervisor(SupervisorOptions options) : options_(std::move(options)) {}
  // Runs until SIGTERM or SIGINT, then drains: the agent has ranks checkpoint, and this returns once everything is
  // delivered, once stop_grace has passed, or at a second signal; by then all ranks and the agent have ended. REQUIRES: these signals
  // and SIGCHLD are blocked in the calling, only, thread. FAILED_PRECONDITION when another worker holds the
  // data folder.
  Status Run();

 private:
  Status Prepare();
  void StartAgent();
  void OnAgentGone();
  int WaitMs() const;
  void EnforceLease();
  void Reap();
  void OnExit(pid_t pid);
  void ReadAgent();
  void Handle(const nlohmann::json& request);
  void StartRank(const nlohmann::json& request);
  StatusOr<RankProcess> Spawn(const nlohmann::json& request);
  void Send(const nlohmann::json& body, int fd = -1);
  void Introduce();
  // The first signal to stop drains, a second one ends at once.
  void OnStopSignal();
  void StopAll();

  const SupervisorOptions options_;
  UniqueFd lock_;
  UniqueFd signals_;
  std::string incarnation_;
  std::string boot_id_;
  RankTable table_;
  pid_t agent_pid_ = 0;
  UniqueFd agent_;
  int64_t agent_started_ms_ = 0;
  int64_t agent_restart_ms_ = 0;  // When to start it again; 0 = runs.
  int64_t agent_backoff_ms_ = 0;  // The next wait.
  int64_t lease_until_ms_ = 0;    // 0 = none was told yet.
  int64_t drain_until_ms_ = 0;    // 0 = does not drain.
  bool stopping_ = false;
};

}  // namespace ft::supervisor
