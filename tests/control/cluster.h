// A coordinator and a worker as processes in a folder of their own, on Unix sockets, with short leases and
// the fake rank.
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <functional>
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
};

class Cluster {
 public:
  Cluster();
  ~Cluster();

  void StartCoordinator();
  void StartWorker();
  // SIGKILL and reap; a stop by SIGTERM returns the exit status.
  void KillCoordinator();
  void KillWorker();
  int StopCoordinator();
  int StopWorker();
  // The agent is the worker's child with --agent, the ranks are the others.
  pid_t AgentPid() const;
  std::vector<pid_t> RankPids() const;

  grpc::Status Create(const CreateOptions& options, pb::Job* job);
  grpc::Status Get(const std::string& name, pb::Job* job);
  // Polls until the job satisfies `when`, or fails the test after 30 s and returns the job as it is.
  pb::Job WaitFor(const std::string& name, const std::function<bool(const pb::Job&)>& when);
  pb::Job WaitForState(const std::string& name, pb::JobState state);
  std::vector<pb::Event> Events(const std::string& subject);
  std::vector<pb::MetricPoint> Metrics(const std::string& job);

  pb::JobService::Stub& jobs() { return *jobs_; }
  std::shared_ptr<grpc::Channel> channel() const { return channel_; }
  std::shared_ptr<grpc::Channel> worker_channel() const;
  const TempDir& dir() const { return dir_; }
  std::string RunDir(const std::string& job_id) const {
    return (dir_ / "worker/runs").string() + "/" + job_id;
  }

 private:
  TempDir dir_;
  pid_t coordinator_ = 0;
  pid_t worker_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<pb::JobService::Stub> jobs_;
};

std::string IdOf(const pb::Job& job);
// A context with a deadline of ten seconds that waits for the server.
std::unique_ptr<grpc::ClientContext> Context();
bool Eventually(const std::function<bool()>& condition);

}  // namespace ft::testing
