// The points of a job as they come, over StreamMetrics: a thread reads them into a bounded queue and goes on where it
// stopped when the connection breaks. Ends by itself when the job has ended and everything was read.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client/connect/connection.h"
#include "finetune/v1/metrics.grpc.pb.h"

namespace ft::client {

class MetricsTail {
 public:
  // `job` is the job's resource name. `connection` must outlive this.
  MetricsTail(const Connection& connection, std::string job);
  MetricsTail(const MetricsTail&) = delete;
  MetricsTail& operator=(const MetricsTail&) = delete;
  ~MetricsTail();

  // All points that have come since the last call, each once; does not wait.
  std::vector<v1::MetricPoint> Take();
  // True when nothing more will come.
  bool complete() const;
  // Waits until complete or the time is over.
  void WaitForEnd(std::chrono::milliseconds timeout);

 private:
  void Run();
  Status ReadStream();
  // False when the thread shall end.
  bool Put(const v1::MetricPoint& point);

  const Connection& connection_;
  const std::string job_;
  // The newest point that was put into the queue; the thread only.
  int64_t last_epoch_ = 0;
  uint64_t last_sequence_ = 0;

  mutable std::mutex mutex_;  // Guards all below.
  std::condition_variable changed_;
  std::shared_ptr<grpc::ClientContext> context_;
  std::deque<v1::MetricPoint> points_;
  bool complete_ = false;
  bool stopping_ = false;

  std::thread thread_;  // Last: it uses all above.
};

}  // namespace ft::client
