// Two clients that watch everything, one all events and one all jobs, from the coordinator's first start to
// the end of a test, and write what they were sent to the history. A cut stream goes on with the last token.
// Two threads of its own.
#pragma once

#include <grpcpp/grpcpp.h>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "finetune/v1/events.grpc.pb.h"
#include "finetune/v1/jobs.grpc.pb.h"
#include "tests/control/history.h"

namespace ft::testing {

class Watchers {
 public:
  // `history` outlives it.
  Watchers(std::shared_ptr<grpc::Channel> channel, const History& history);
  ~Watchers() { Stop(); }

  // Waits until all that has happened was sent to both, at most ten seconds, and notes what was to be there.
  // For a coordinator that serves.
  void CatchUp();
  void Stop();

 private:
  enum Which { kEvents, kJobs };
  // Opens one stream and reads it to its end, keeping the token.
  using ReadStream = std::function<grpc::Status(grpc::ClientContext&)>;
  void Loop(Which which, const ReadStream& read);
  grpc::Status ReadEvents(grpc::ClientContext& context);
  grpc::Status ReadJobs(grpc::ClientContext& context);
  int64_t NewestRevision();
  std::map<std::string, std::string> JobsNow();

  const std::shared_ptr<grpc::Channel> channel_;
  const History& history_;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> events_revision_{0};         // Newest sent.
  std::array<std::string, 2> tokens_;               // One a thread.
  std::mutex mutex_;                                // Guards what follows.
  std::array<grpc::ClientContext*, 2> contexts_{};  // Contexts of the streams that are open.
  std::map<std::string, std::string> believed_;     // The state of each job, as sent.
  std::array<std::thread, 2> threads_;
};

}  // namespace ft::testing
