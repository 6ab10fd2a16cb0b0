// What all handlers share: the objects behind them, and one-line unary calls. A handler decodes, validates,
// posts and returns; the reply leaves after the commit, from the writer's thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/rpc/errors.h"
#include "finetune/v1/jobs.pb.h"
#include "server/api/disk_trouble.h"
#include "server/fleet/fleet.h"
#include "server/spool/spool.h"
#include "server/state/state_loop.h"

namespace ft::api {

namespace pb = finetune::v1;
namespace wpb = finetune::worker::v1;

class Metrics;
class WatchHub;

// Owned by main; outlives the servers.
struct Backend {
  state::StateLoop& loop;
  spool::Spool& spool;
  fleet::Fleet& fleet;
  WatchHub& hub;
  Metrics& metrics;
  std::filesystem::path data_dir;
  std::vector<std::string> roots;  // Where models and data may lie; empty = anywhere this user may read.
  DiskTrouble& disk;
};

// Counts the call's outcome under "service/method"; set once before the servers start.
void SetCallObserver(
    std::function<void(const std::string& method, grpc::StatusCode code, double seconds)> observer);

// Finishes a unary call exactly once, and counts it. Copyable; any thread.
class UnaryCall {
 public:
  UnaryCall(grpc::CallbackServerContext* context, const char* method);
  grpc::ServerUnaryReactor* reactor() const { return reactor_; }
  void Finish(const Status& status) const;
  // Finishes with the status, and answers the reactor to return.
  grpc::ServerUnaryReactor* Refuse(const Status& status) const {
    Finish(status);
    return reactor_;
  }

 private:
  grpc::ServerUnaryReactor* reactor_;
  const char* method_;
  absl::Time start_;
};

// The actor of a user's request: by the token that was shown, or the user of this machine on a socket.
std::string ActorOf(const grpc::CallbackServerContext& context);

// The same for equal requests whatever their request_id.
std::string RequestDigest(const google::protobuf::Message& request);

// Who asks for a change, and what makes a retry of it safe.
template <typename Request>
state::Caller CallerOf(const grpc::CallbackServerContext& context, const char* method,
                       const Request& request) {
  return {ActorOf(context), method, request.request_id(), RequestDigest(request)};
}

Status NoSuchJob(const std::string& name);

}  // namespace ft::api
