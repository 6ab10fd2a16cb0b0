// Owns the ranks of a node. A tiny single-threaded loop: it starts ranks when the agent asks, writes down how they end
// before anybody is told, and starts the agent anew when it dies. Ranks outlive the agent; they die with the supervisor
// (each asks the kernel for that). PID 1 in a container; a subreaper elsewhere, so that what a rank leaves behind is
// reaped here.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/rankhost/channel.h"
#include "worker/supervisor/rank_state.h"
#include "worker/supervisor/spawn.h"

namespace ft::supervisor {

struct SupervisorOptions {
  std::filesystem::path state_dir;           // For rank states; locked against a second supervisor.
  std::vector<std::string> agent_argv;       // Started with its channel as fd 3.
  std::chrono::milliseconds restart_min{200};   // Before a dead agent is started again; doubles up to the maximum,
  std::chrono::milliseconds restart_max{10'000};  // and falls back after an agent that lived that long.
  std::chrono::milliseconds stop_grace{10'000};   // From SIGTERM to SIGKILL of agent and ranks when stopping.
};

class Supervisor {
 public:
  // Takes the lock, reads old states (their ranks died with the supervisor that owned them) and becomes a subreaper.
  static StatusOr<std::unique_ptr<Supervisor>> Create(SupervisorOptions options);
  ~Supervisor();

  // Until SIGTERM or SIGINT; then stops agent and ranks. Blocks these signals and SIGCHLD for the process.
  Status Run();

 private:
  struct Rank {
    RankState state;
    UniqueFd pidfd;     // Invalid once exited.
    UniqueFd control;   // The agent's end, kept for the next agent.
  };

  explicit Supervisor(SupervisorOptions options) : options_(std::move(options)) {}
  Status Lock();
  Status LoadStates();
  Status SetUpLoop();
  Status OnEvent(int fd);
  Status OnSignal(bool& stop);
  void StartAgent();
  void OnAgentDeath();
  void Greet();
  void ReadRequests();
  void Handle(const rankhost::Start& start);
  void Handle(const rankhost::Signal& signal);
  void Handle(const rankhost::Forget& forget);
  Status Launch(const rankhost::Start& start);
  void Tell(const rankhost::Message& message, int fd = -1);
  void Reap(const rankhost::RankKey& key);
  void ReapOrphans();
  std::optional<rankhost::RankKey> KeyOfLive(pid_t pid) const;
  void StopAll();
  void Watch(int fd);
  int MillisToAgentStart() const;

  using Time = std::chrono::steady_clock::time_point;

  const SupervisorOptions options_;
  RankStateStore store_{options_.state_dir / "ranks"};
  std::string incarnation_;
  std::string boot_id_;
  UniqueFd lock_, epoll_, signals_;
  std::map<rankhost::RankKey, Rank> ranks_;
  std::map<int, rankhost::RankKey> by_pidfd_;
  std::unique_ptr<rankhost::Channel> channel_;
  Spawned agent_;
  Time agent_started_{};
  Time next_agent_start_{};
  std::chrono::milliseconds backoff_{0};
};

}  // namespace ft::supervisor
