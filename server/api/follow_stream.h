// A stream that follows files of the spool: it asks the spool's thread for the next messages, and looks again
// after a while when there is nothing new. Derive and give Read(), which runs on the spool's thread.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>

#include "server/api/push_stream.h"
#include "server/spool/spool.h"

namespace ft::api {

inline constexpr auto kFollowInterval = std::chrono::milliseconds(100);

template <typename Response>
class FollowStream : public PushStream<Response> {
 public:
  explicit FollowStream(spool::Spool& spool) : spool_(spool), timer_(spool.context()) {}

 protected:
  using typename PushStream<Response>::Pull;

  // On the spool's thread: the next messages (none = look again later), and whether the stream is complete
  // after them.
  virtual StatusOr<std::deque<Response>> Read(bool* complete) = 0;

  Pull Take(Response* response, Status* status) override {
    if (!queue_.empty()) {
      *response = std::move(queue_.front());
      queue_.pop_front();
      return Pull::kItem;
    }
    if (!failure_.ok() || complete_) {
      *status = failure_;
      return Pull::kFinish;
    }
    if (!reading_) Ask();
    return Pull::kNothing;
  }

 private:
  void Ask() {
    reading_ = true;
    auto self = std::static_pointer_cast<FollowStream>(this->shared_from_this());
    const Status posted = spool_.Run([self] { self->Refill(); });
    if (!posted.ok()) failure_ = posted;
  }

  void Refill() {
    if (this->finished()) return;
    bool complete = false;
    auto messages = Read(&complete);
    bool idle = false;
    {
      std::lock_guard lock(this->mutex_);
      reading_ = false;
      complete_ = complete;
      if (messages.ok()) {
        queue_ = *std::move(messages);
      } else {
        failure_ = messages.status();
      }
      idle = queue_.empty() && failure_.ok() && !complete_;
      if (idle) reading_ = true;
    }
    if (!idle) {
      this->Kick();
      return;
    }
    auto self = std::static_pointer_cast<FollowStream>(this->shared_from_this());
    timer_.expires_after(kFollowInterval);
    timer_.async_wait([self](const boost::system::error_code& error) {
      if (!error) self->Refill();
    });
  }

  spool::Spool& spool_;
  boost::asio::steady_timer timer_;  // The spool's thread.
  std::deque<Response> queue_;
  Status failure_;
  bool complete_ = false;
  bool reading_ = false;
};

}  // namespace ft::api
