// A coordinator and workers as processes in a folder of their own, on Unix sockets, with short leases and
// the fake rank. Every client call and every start and step of a rank is written to a history, which a
// separate program (history_check) judges together with the store.
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "finetune/v1/artifacts.grpc.pb.h"
#include "finetune/v1/data.grpc.pb.h"
#include "finetune/v1/events.grpc.pb.h"
#include "finetune/v1/jobs.grpc.pb.h"
#include "finetune/v1/logs.grpc.pb.h"
#include "finetune/v1/metrics.grpc.pb.h"
#include "finetune/v1/nodes.grpc.pb.h"
#include "finetune/worker/v1/worker.grpc.pb.h"
#include "tests/control/history.h"
#include "tests/control/watchers.h"
#include "tests/support/temp_dir.h"

namespace ft::testing {

namespace pb = finetune::v1;
namespace wpb = finetune::worker::v1;

struct CreateOptions {
  std::string name = "job";
  std::string labels;  // YAML lines of `key: "value"`, indented by two.
  int every_steps = 500;
  int keep_last = 2;
  int threads = 1;
  std::string request_id;
  int ranks = 1;
  bool strict_exclusive = false;
};

struct ClusterOptions {
  std::string lease = "600ms";
  std::string stall = "15s";       // The coordinator's, and what history_check is told.
  std::string node_loss = "120s";  // The same.
  std::string coordinator;         // More lines of its configuration file.
  std::string worker;              // The same of every worker.
  int cores = 4;                   // Cores of every worker.
  std::string stop_grace =
      "2s";             // The stop_grace of every worker: what a test leaves running may not listen.
  bool shared = false;  // Workers share their run folders.
  std::string coordinator_binary = FT_BIN_DIR "/finetuned";
  std::vector<std::string> coordinator_arguments;
};

inline constexpr char kNode[] = "node-a";

class Cluster {
 public:
  explicit Cluster(ClusterOptions options = {});
  ~Cluster();

  // Returns once it serves, or with false once it has ended.
  bool StartCoordinator();
  // `coordinator`: socket that the worker uses instead of the coordinator's own.
  // `cores`: other than the options say; 0 = as they say.
  void StartWorker(const std::string& node = kNode, const std::string& coordinator = "", int cores = 0);
  // SIGKILL and reap; a stop by SIGTERM returns the exit status.
  void KillCoordinator();
  void KillWorker(const std::string& node = kNode);
  int StopCoordinator();
  int StopWorker(const std::string& node = kNode);
  // SIGTERM, and no waiting; AwaitWorker reaps it and returns the exit status, or 128 + signal.
  void AskWorkerToStop(const std::string& node = kNode);
  int AwaitWorker(const std::string& node = kNode);
  // Waits for a coordinator that ends by itself: 128 + signal, or its exit status.
  int ReapCoordinator();
  bool CoordinatorEnded() const;
  int CoordinatorStarts() const { return coordinator_starts_; }
  // The agent is the worker's child with --agent, the ranks are the others.
  pid_t AgentPid(const std::string& node = kNode) const;
  std::vector<pid_t> RankPids(const std::string& node = kNode) const;
  // To an agent or a rank.
  void Signal(pid_t pid, int signal);
  // To supervisor, agent and ranks of a node, in this order.
  void SignalNode(const std::string& node, int signal);

  // Without a deadline they wait up to ten seconds for a coordinator.
  grpc::Status Create(const CreateOptions& options, pb::Job* job,
                      std::chrono::milliseconds deadline = std::chrono::milliseconds(0));
  grpc::Status Get(const std::string& name, pb::Job* job,
                   std::chrono::milliseconds deadline = std::chrono::milliseconds(0));
  grpc::Status Cancel(const std::string& name);
  // Polls until the job satisfies `when`, or fails the test after 30 s and returns the job as it is.
  pb::Job WaitFor(const std::string& name, const std::function<bool(const pb::Job&)>& when);
  pb::Job WaitForState(const std::string& name, pb::JobState state);
  std::vector<pb::Event> Events(const std::string& subject);
  std::vector<pb::MetricPoint> Metrics(const std::string& job);
  std::vector<pb::Node> Nodes();
  pb::Node Node(const std::string& node);  // Empty when it is not known.
  void WaitForNodes(size_t count);         // Until so many are READY.
  void WaitForNode();                      // Until one is READY.

  // Stops everything and has history_check judge what happened. Fails the test with its findings. Once.
  void Check();

  pb::JobService::Stub& jobs() { return *jobs_; }
  History& history() { return history_; }
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  std::shared_ptr<grpc::Channel> worker_channel() const;
  std::string worker_socket() const { return (dir_ / "coordinator/worker.sock").string(); }
  const TempDir& dir() const { return dir_; }
  std::filesystem::path WorkerDir(const std::string& node = kNode) const {
    return dir_ / (node == kNode ? std::string("worker") : node);
  }
  std::string RunDir(const std::string& job_id) const {
    return (WorkerDir() / "runs").string() + "/" + job_id;
  }

 private:
  std::string JobYaml(const CreateOptions& options) const;
  void NoteFault(const char* target, const char* phase);
  void NoteProcesses();
  // What history_check is called with.
  std::vector<std::string> CheckArguments() const;

  TempDir dir_;
  ClusterOptions options_;
  History history_;
  pid_t coordinator_ = 0;
  int coordinator_starts_ = 0;
  std::map<std::string, pid_t> workers_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::JobService::Stub> jobs_;
  std::unique_ptr<Watchers> watchers_;
  bool checked_ = false;
};

std::string IdOf(const pb::Job& job);
// A context with a deadline of ten seconds that waits for the server.
std::unique_ptr<grpc::ClientContext> Context();
// The same with another deadline; 0 = Context().
std::unique_ptr<grpc::ClientContext> ContextOf(std::chrono::milliseconds deadline);
bool Eventually(const std::function<bool()>& condition);

}  // namespace ft::testing
