// Commands that reach a rank while it trains: newline-terminated words on a socket. The rank looks at step edges and
// never blocks on it; a closed socket means no more commands, nothing else. The one exception: a rank of a job on several
// nodes waits at its start, for a bounded time, to be told where rank 0 is ("rendezvous HOST:PORT").
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "core/base/file.h"

namespace ft::rank {

class Control {
 public:
  // Takes the descriptor over and makes it non-blocking; -1 = no commands.
  explicit Control(int fd);

  struct Commands {
    bool checkpoint = false;
    bool stop = false;  // Sticky.
  };
  // All commands that have arrived since the last call.
  Commands Poll();
  // Whether a stop has arrived; leaves the commands for Poll.
  bool IsAskedToStop();

  // Rank 0's address as soon as it has come. DEADLINE_EXCEEDED after `timeout`, UNAVAILABLE when the socket is closed, CANCELLED when a
  // stop comes first.
  // `waiting` is called several times a second meanwhile.
  StatusOr<std::string> AwaitRendezvous(std::chrono::milliseconds timeout,
                                        const std::function<void()>& waiting);

 private:
  void ReadWords();

  UniqueFd fd_;
  std::string pending_;
  bool checkpoint_ = false;
  bool stop_ = false;
  std::string rendezvous_;
};

}  // namespace ft::rank
