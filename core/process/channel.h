// The supervisor and its agent talk over a Unix socketpair (SOCK_SEQPACKET: the kernel keeps message borders)
// in JSON messages of at most 64 KiB, each with at most one file descriptor beside it. Neither end ever
// blocks on the other.
#pragma once

#include <optional>
#include <string>

#include "core/base/file.h"
#include "core/base/status.h"
#include "nlohmann/json.hpp"

namespace ft::process {

inline constexpr size_t kMaxMessageBytes = 64 << 10;

struct Message {
  nlohmann::json body;
  UniqueFd fd;  // Not valid when none came.
};

// UNAVAILABLE when the other end's buffer is full; INTERNAL when it is gone.
Status SendMessage(int socket, const nlohmann::json& body, int fd = -1);

// Nothing when there is no message now. UNAVAILABLE when the other end is closed.
StatusOr<std::optional<Message>> ReceiveMessage(int socket);

}  // namespace ft::process
