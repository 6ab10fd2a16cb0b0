// One end of a Unix socket that keeps packets whole (SOCK_SEQPACKET): a message, and at most one file descriptor with it.
#pragma once

#include <optional>
#include <utility>

#include "core/base/file.h"
#include "core/rankhost/messages.h"

namespace ft::rankhost {

inline constexpr size_t kMaxPacketBytes = 128 << 10;

struct Received {
  Message message;
  UniqueFd fd;  // Invalid when none came with it.
};

// One thread. Never blocks longer than a second, so that neither program hangs on the other.
class Channel {
 public:
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}
  // A connected pair.
  static StatusOr<std::pair<Channel, Channel>> Pair();

  // UNAVAILABLE when the other end is gone or has not read for a second.
  Status Send(const Message& message, int fd_to_pass = -1);
  // The next message; nothing when none is waiting. UNAVAILABLE when the other end is gone.
  StatusOr<std::optional<Received>> Receive();
  int fd() const { return socket_.get(); }
  int Release() { return socket_.Release(); }

 private:
  UniqueFd socket_;
};

}  // namespace ft::rankhost
