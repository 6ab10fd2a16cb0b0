// A coordinator as a process of its own, and a worker made of calls only: its jobs run because it says so.
#pragma once

#include <grpcpp/grpcpp.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "finetune/v1/jobs.grpc.pb.h"
#include "finetune/worker/v1/worker.grpc.pb.h"
#include "tests/support/temp_dir.h"

namespace ft::bench {

namespace pb = finetune::v1;
namespace wpb = finetune::worker::v1;

class Daemon {
 public:
  // Starts it and waits until it serves; ends the program where it does not.
  explicit Daemon(const std::string& finetuned);
  ~Daemon();

  // Submits jobs and has them run.
  std::vector<std::string> RunJobs(int count);
  // The next record of a job's only rank, acknowledged.
  void PushStep(const std::string& job_id, int64_t sequence, int64_t step);
  // The same without waiting: `done` is called once it is acknowledged.
  void StartStep(const std::string& job_id, int64_t sequence, int64_t step, std::function<void()> done);
  void RenewLease();

  double CpuSeconds() const;
  double WrittenBytes() const;
  std::shared_ptr<grpc::Channel> channel() const { return users_; }

 private:
  void Register();
  wpb::PushRecordsRequest Step(const std::string& job_id, int64_t sequence, int64_t step) const;
  wpb::RankRef Ref(const std::string& job_id, int64_t epoch) const;
  void Report(const std::string& job_id, int64_t epoch, wpb::RankState state);
  void Prepare(const std::string& job_id);

  testing::TempDir dir_;
  pid_t pid_ = 0;
  std::shared_ptr<grpc::Channel> users_, workers_;
  std::unique_ptr<wpb::WorkerService::Stub> worker_;
  std::string session_;
  int64_t renewals_ = 0;
};

// A context with a deadline, for one call.
std::unique_ptr<grpc::ClientContext> Deadline(int seconds = 60);
// Ends the program with what went wrong.
void Must(const grpc::Status& status);

}  // namespace ft::bench
