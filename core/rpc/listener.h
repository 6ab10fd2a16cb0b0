// Opens a gRPC server on Unix sockets and loopback TCP ports. Plain text is refused anywhere else, and an
// address that another program holds is one clear sentence, never a shared port.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::rpc {

struct ListenOptions {
  // "unix:/path" (made mode 0600; a dead socket file is replaced) or "127.0.0.1:PORT" / "[::1]:PORT" /
  // "localhost:PORT".
  std::vector<std::string> addresses;
  int max_message_bytes = 4 << 20;
};

// INVALID_ARGUMENT for an address that is neither a Unix socket nor loopback; UNAVAILABLE when it is in use.
Status CheckListenAddress(const std::string& address);

// Starts `services` on all addresses. The services outlive the server. Health and reflection are on.
StatusOr<std::unique_ptr<grpc::Server>> Listen(const ListenOptions& options,
                                               const std::vector<grpc::Service*>& services);

// gRPC's own log lines become spdlog lines; call once, before the first channel or server.
void RouteGrpcLog();

// Keepalive and reconnect settings for a channel to a coordinator.
std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address);

}  // namespace ft::rpc
