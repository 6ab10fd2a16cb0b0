// The agent: one loop thread. Registers with the coordinator, keeps its lease, carries out commands, and has
// each rank's files shipped. When the coordinator is away, ranks go on and their files wait.
#pragma once

#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/http/probes.h"
#include "core/metrics/endpoint.h"
#include "core/process/attempt_facts.h"
#include "core/process/channel.h"
#include "worker/node/agent/client.h"
#include "worker/node/agent/config.h"
#include "worker/node/agent/devices.h"
#include "worker/node/agent/file_thread.h"
#include "worker/node/agent/metrics.h"
#include "worker/node/agent/rank_run.h"

namespace ft::agent {

class CommandReader;

class Agent {
 public:
  // `supervisor` is our end of the channel.
  Agent(Config config, UniqueFd supervisor);
  ~Agent();
  // Until SIGTERM, or until the supervisor is gone. The supervisor's word to drain comes before.
  Status Run();

 private:
  friend class CommandReader;

  // The supervisor.
  void WaitForSupervisor();
  void OnSupervisorMessage(process::Message message);
  void OnRankState(const nlohmann::json& body, UniqueFd control);
  void Tell(const nlohmann::json& body);

  // The session.
  void Register();
  void OnRegistered(absl::Duration sent, const Status& status, const wpb::RegisterWorkerResponse& response);
  void RetryRegister();
  void LoseSession();
  void RenewLater();
  void Renew();
  void OnRenewed(absl::Duration sent, const wpb::RenewLeaseResponse& response);
  // The lease as the coordinator sees it has not ended: it counts from later than we do.
  bool HoldsLease() const;
  // Also tells the supervisor, which keeps it when this process stands still.
  void ExtendLease(absl::Duration sent);
  void OpenCommandStream();
  void OnCommandStreamEnded(const CommandReader* reader, const Status& status);
  std::vector<finetune::v1::Device> Devices();
  // What the attempt's job.json says; empty when it cannot be read.
  JobInfo ReadJobInfo(const RankKey& key) const;

  // Draining. Ranks checkpoint, nothing new starts, and once everything is delivered the supervisor is told.
  void Drain(absl::Duration grace);
  // REQUIRES: drains. Moves one step on.
  void TryToLeave();

  // Commands. Each returns what to acknowledge with; empty = done.
  std::string Handle(const wpb::Command& command);
  std::string StartRanks(const wpb::StartRanks& start);
  process::AttemptFacts FactsOf(const wpb::StartRanks& start) const;
  nlohmann::json StartMessage(const wpb::StartRanks& start, const RankRun& run,
                              const std::string& visible_devices) const;
  Status PrepareAttempt(const wpb::StartRanks& start, const std::filesystem::path& attempt_dir);
  std::string StopRanks(const wpb::StopRanks& stop);
  std::string SetRendezvous(const wpb::SetRendezvous& set);
  // The names are gone when it returns; the bytes follow on the file thread.
  std::string DeleteFiles(const wpb::DeleteFiles& files);
  Status Discard(const std::filesystem::path& runs, const std::filesystem::path& target);
  Status RemoveLater(const std::filesystem::path& path);
  // What an earlier agent had discarded and not yet removed.
  void RemoveDiscarded();
  // Leftovers of earlier attempts: checkpoints that were never committed, and what a rank that died had begun to write.
  void PruneCheckpoints(const wpb::StartRanks& start);
  // One folder of a run that nobody asks for any more.
  void DropCheckpoint(const RankKey& key, const std::string& path);
  // Now and then: asks, with the next renewal, which prepared data live jobs need, when there is too much of it.
  void LookAtCache();
  void TrimCache(const wpb::RenewLeaseResponse& response);
  // Accepts the coordinator's term, durably, unless a newer one was seen.
  bool AcceptTerm(int64_t term);

  void Tick();
  void ReadCards();
  void StartPages();
  void TellReadiness();
  std::shared_ptr<RankRun> NewRun(const RankKey& key, wpb::AttemptKind kind);

  const Config config_;
  SystemClock clock_;
  boost::asio::io_context context_{1};
  Client client_;
  FileThread files_;
  Metrics metrics_;
  std::unique_ptr<metrics::Endpoint> metrics_endpoint_;
  http::Heartbeat turned_;
  std::unique_ptr<http::Probes> probes_;
  std::unique_ptr<DeviceSource> nvml_;
  absl::Duration next_reading_ = absl::ZeroDuration();  // Of the cards' figures, in boot time.
  UniqueFd supervisor_;
  boost::asio::posix::stream_descriptor supervisor_wait_;
  boost::asio::signal_set signals_;
  boost::asio::steady_timer tick_timer_, renew_timer_, register_timer_, stream_timer_;

  std::string incarnation_, boot_id_;
  bool ready_ = false;  // The supervisor has told all its ranks.
  std::map<RankKey, std::shared_ptr<RankRun>> runs_;
  RankRunDeps deps_;

  std::string session_;
  bool registering_ = false;
  absl::Duration register_backoff_ = absl::Milliseconds(100);
  int64_t lease_millis_ = 15'000;
  int64_t renew_sequence_ = 0;
  bool renewing_ = false;
  absl::Duration last_renewal_;
  int64_t term_ = 0;
  int64_t discarded_ = 0;  // So far, for names.
  CommandReader* reader_ = nullptr;
  bool coordinator_away_ = false;

  absl::Duration cache_looked_;
  bool cache_full_ = false;

  bool draining_ = false;
  bool drain_told_ = false;  // The coordinator knows.
  bool leaving_ = false;     // The last renewal is on its way, or was answered.
};

}  // namespace ft::agent
