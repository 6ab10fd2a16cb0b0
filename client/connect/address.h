// Where the coordinator listens, as the user writes it. Pure apart from Probe.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace ft::client {

struct Address {
  std::string target;            // As gRPC takes it: unix:/path or host:port.
  std::filesystem::path socket;  // Empty for TCP.
  bool local() const { return !socket.empty(); }
};

// "/path", "unix:/path", "HOST:PORT" or "HOST" (port 7717). INVALID_ARGUMENT for anything else, for a socket path that
// the system cannot hold, and for hosts other than this machine: plain text is for loopback only.
StatusOr<Address> ParseAddress(std::string_view text);

// Whether something accepts connections at the Unix socket now. OK, NOT_FOUND (no socket) or UNAVAILABLE (nobody
// listens); always OK for TCP, where only a call tells.
Status Probe(const Address& address);

}  // namespace ft::client
