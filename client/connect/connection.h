// One channel to the coordinator. Calls have a deadline and are tried again while the coordinator is unavailable, which
// is safe because every changing request carries a request_id. Thread-safe.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "client/connect/address.h"
#include "core/base/status.h"

namespace finetune::v1 {}

namespace ft::client {

namespace v1 = ::finetune::v1;

inline constexpr std::chrono::seconds kCallTimeout{10};

class Connection {
 public:
  // Does not wait for the other side.
  explicit Connection(Address address);

  const Address& address() const { return address_; }

  // The answer, or the coordinator's refusal with its message. UNAVAILABLE: it cannot be reached.
  //   connection.Call(&v1::JobService::Stub::GetJob, request)
  template <typename Stub, typename Request, typename Response>
  StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                          const Request& request, std::chrono::milliseconds timeout = kCallTimeout) const {
    Stub stub(channel_);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + timeout);
    Response response;
    const Status status = FromGrpc((stub.*method)(&context, request, &response));
    if (!status.ok()) return status;
    return response;
  }

  // A stream of answers without a deadline; `context` must outlive it and can cancel it from any thread.
  template <typename Stub, typename Request, typename Response>
  std::unique_ptr<grpc::ClientReader<Response>> Stream(
      std::unique_ptr<grpc::ClientReader<Response>> (Stub::*method)(grpc::ClientContext*, const Request&),
      grpc::ClientContext& context, const Request& request) const {
    Stub stub(channel_);
    return (stub.*method)(&context, request);
  }

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  static Status FromGrpc(const grpc::Status& status);

 private:
  Address address_;
  std::shared_ptr<grpc::Channel> channel_;
};

// A random UUID (version 4) for request ids.
std::string NewRequestId();

}  // namespace ft::client
