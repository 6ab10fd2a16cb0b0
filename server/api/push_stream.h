// A server stream that is fed from elsewhere: one write in flight, the next message is made only when the
// last has gone, so a slow reader costs what its queue holds and nothing more.
//
// Derive and give Take(). Kick() from any thread when there may be something new; hold no lock around it that
// Ended() takes.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>

#include "absl/time/clock.h"
#include "core/base/status.h"
#include "core/rpc/errors.h"

namespace ft::api {

template <typename Response>
class PushStream : public grpc::ServerWriteReactor<Response>,
                   public std::enable_shared_from_this<PushStream<Response>> {
 public:
  // Keeps itself alive until gRPC is done with it: call first, in the handler that returns it.
  void Hold() { self_ = this->shared_from_this(); }

  void Kick() {
    const auto keep = this->shared_from_this();
    std::lock_guard lock(mutex_);
    if (writing_ || finished_ || self_ == nullptr) return;
    response_.Clear();
    Status status;
    switch (Take(&response_, &status)) {
      case Pull::kNothing: return;
      case Pull::kFinish:
        finished_ = true;
        this->Finish(rpc::ToGrpc(status));
        return;
      case Pull::kItem:
        writing_ = true;
        write_start_ = absl::Now();
        this->StartWrite(&response_);
    }
  }

  // How long the write in flight has waited for its reader.
  absl::Duration Stalled() const {
    std::lock_guard lock(mutex_);
    return writing_ ? absl::Now() - write_start_ : absl::ZeroDuration();
  }

  // Ends the stream now, also with a write in flight.
  void End(const Status& status) {
    std::lock_guard lock(mutex_);
    if (finished_ || self_ == nullptr) return;
    finished_ = true;
    this->Finish(rpc::ToGrpc(status));
  }

  bool finished() const {
    std::lock_guard lock(mutex_);
    return finished_;
  }

  void OnWriteDone(bool ok) override {
    {
      std::lock_guard lock(mutex_);
      writing_ = false;
    }
    if (!ok) {
      End(absl::CancelledError("the reader is gone"));
      return;
    }
    Kick();
  }
  void OnCancel() override { End(absl::CancelledError("cancelled by the reader")); }
  void OnDone() override {
    Ended();
    self_.reset();
  }

 protected:
  enum class Pull { kItem, kNothing, kFinish };
  // Under mutex_: fills the next message, or the status to finish with.
  virtual Pull Take(Response* response, Status* status) = 0;
  // Once, after the stream's end.
  virtual void Ended() {}

  // Guards what the stream has to send, writing_ and finished_. Held over StartWrite and Finish, so that no write can start
  // after the end; recursive, in case gRPC runs a reaction inside them.
  mutable std::recursive_mutex mutex_;

 private:
  Response response_;
  bool writing_ = false;
  bool finished_ = false;
  absl::Time write_start_;
  std::shared_ptr<PushStream> self_;
};

}  // namespace ft::api
