// Follows one job over WatchJobs: a thread reads the stream, starts it anew where it stopped when the connection
// breaks, and keeps the newest state for the reader. The coordinator may restart in between.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "client/connect/connection.h"
#include "finetune/v1/jobs.grpc.pb.h"

namespace ft::client {

class JobWatch {
 public:
  struct Update {
    std::optional<v1::Job> job;  // The newest state, if it changed since the last call.
    bool deleted = false;
    Status contact;  // Why there is no contact at the moment; OK = there is.
    Status refused;  // Not OK: the coordinator refuses the watch; nothing more will come.
  };

  // `name` is the job's resource name. `connection` must outlive this.
  JobWatch(const Connection& connection, std::string name);
  JobWatch(const JobWatch&) = delete;
  JobWatch& operator=(const JobWatch&) = delete;
  ~JobWatch();

  // What is new; waits up to `timeout` for something.
  Update Next(std::chrono::milliseconds timeout);

 private:
  void Run();
  // Reads one stream to its end.
  Status ReadStream();
  void Take(v1::WatchJobsResponse& response);
  // True when the thread shall end.
  bool Rest(std::chrono::milliseconds time);

  const Connection& connection_;
  const std::string name_;
  std::string resume_token_;  // Belongs to the thread only.

  std::mutex mutex_;  // Guards all below.
  std::condition_variable changed_;
  std::shared_ptr<grpc::ClientContext> context_;
  Update update_;
  bool news_ = false;
  bool stopping_ = false;

  std::thread thread_;  // Last: it uses all above.
};

}  // namespace ft::client
