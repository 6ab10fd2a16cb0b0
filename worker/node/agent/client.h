// Calls to the coordinator from the agent's loop: answers come back on the loop's thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/rpc/errors.h"
#include "finetune/worker/v1/worker.grpc.pb.h"

namespace ft::agent {

namespace wpb = finetune::worker::v1;

class Client {
 public:
  using Async = wpb::WorkerService::StubInterface::async_interface;

  Client(boost::asio::io_context& context, const std::shared_ptr<grpc::Channel>& channel)
      : context_(context), stub_(wpb::WorkerService::NewStub(channel)) {}

  // `method` starts the call, e.g. &Async::RenewLease. `done` runs on the loop's thread, also after a
  // failure.
  template <typename Request, typename Response>
  void Call(void (Async::*method)(grpc::ClientContext*, const Request*, Response*,
                                  std::function<void(grpc::Status)>),
            Request request, std::function<void(const Status&, const Response&)> done,
            std::chrono::milliseconds deadline = std::chrono::seconds(10)) {
    struct State {
      grpc::ClientContext context;
      Request request;
      Response response;
    };
    auto state = std::make_shared<State>();
    state->request = std::move(request);
    state->context.set_deadline(std::chrono::system_clock::now() + deadline);
    (stub_->async()->*method)(&state->context, &state->request, &state->response,
                              [this, state, done = std::move(done)](grpc::Status status) {
                                boost::asio::post(context_, [state, done, status = rpc::FromGrpc(status)] {
                                  done(status, state->response);
                                });
                              });
  }

  wpb::WorkerService::StubInterface& stub() { return *stub_; }
  boost::asio::io_context& context() { return context_; }

 private:
  boost::asio::io_context& context_;
  std::unique_ptr<wpb::WorkerService::StubInterface> stub_;
};

}  // namespace ft::agent
