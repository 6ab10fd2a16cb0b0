// What waits to be sent on a command stream. One that lost a command would never send it: when the queue overflows, the stream
// sends what it holds and ends, and the next stream is derived from the state. Not thread-safe.
#pragma once

#include <deque>
#include <optional>

#include "finetune/worker/v1/worker.pb.h"

namespace ft::api {

class CommandQueue {
 public:
  static constexpr size_t kLimit = 4096;

  // Once it has overflowed nothing is taken any more, so that what is sent has no gap.
  void Push(const finetune::worker::v1::Command& command) {
    overflowed_ = overflowed_ || waiting_.size() >= kLimit;
    if (!overflowed_) waiting_.push_back(command);
  }
  std::optional<finetune::worker::v1::Command> Pop() {
    if (waiting_.empty()) return std::nullopt;
    finetune::worker::v1::Command command = std::move(waiting_.front());
    waiting_.pop_front();
    return command;
  }
  // Everything it held was taken, and something was refused: the stream must end.
  bool MustEnd() const { return overflowed_ && waiting_.empty(); }

 private:
  std::deque<finetune::worker::v1::Command> waiting_;
  bool overflowed_ = false;
};

}  // namespace ft::api
