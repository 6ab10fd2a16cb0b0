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
  std::string ca;                // TCP with TLS: PEM file of who signs the coordinator's certificate.
  std::string token;             // Sent over TLS only; empty = none.
  bool local() const { return !socket.empty(); }
};

// How TCP is secured; both are files, and do not matter to a socket.
struct Security {
  std::string ca;          // Empty = plain text.
  std::string token_file;  // Holds the token as its only line; empty = none.
};

// "/path", "unix:/path", "HOST:PORT" or "HOST" (port 7717). INVALID_ARGUMENT for anything else, for a socket path that
// the system cannot hold, without a CA for hosts other than this machine (plain text is for loopback only), and for
// files that do not hold what they should.
StatusOr<Address> ParseAddress(std::string_view text, const Security& security = {});

// Whether something accepts connections at the Unix socket now. OK, NOT_FOUND (no socket) or UNAVAILABLE (nobody
// listens); always OK for TCP, where only a call tells.
Status Probe(const Address& address);

}  // namespace ft::client
