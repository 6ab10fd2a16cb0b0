// Commands that reach a rank while it trains: newline-terminated words on a socket. The rank looks at step edges and
// never blocks on it; a closed socket means no more commands, nothing else.
#pragma once

#include <string>

#include "core/base/file.h"

namespace ft::rank {

class Control {
 public:
  // Takes the descriptor over and makes it non-blocking; -1 = no commands.
  explicit Control(int fd);

  struct Wishes {
    bool checkpoint = false;
    bool stop = false;  // Sticky.
  };
  // All commands that have arrived since the last call.
  Wishes Poll();

 private:
  UniqueFd fd_;
  std::string pending_;
  bool stop_ = false;
};

}  // namespace ft::rank
