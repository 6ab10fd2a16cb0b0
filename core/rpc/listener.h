// Opens a gRPC server on Unix sockets and TCP ports. Plain text is refused beyond loopback, and an address that another
// program holds is one clear sentence, never a shared port.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace ft::rpc {

struct ListenOptions {
  // "unix:/path" (made mode 0600; a dead socket file is replaced) or "127.0.0.1:PORT" / "[::1]:PORT" /
  // "localhost:PORT"; with `tls` any "HOST:PORT".
  std::vector<std::string> addresses;
  std::shared_ptr<grpc::ServerCredentials> tls;  // For TCP ports; null = plain text.
  int max_message_bytes = 4 << 20;
  std::vector<std::string>
      service_names;  // Full names, which health checks may ask for beside the whole server.
};

// Whether the host of "HOST:PORT" is this machine.
bool IsLoopback(std::string_view address);

// INVALID_ARGUMENT for an address that is neither a Unix socket nor, without TLS, loopback; UNAVAILABLE when it is in
// use.
Status CheckListenAddress(const std::string& address, bool tls);

// Starts `services` on all addresses. The services outlive the server. Health and reflection are on.
StatusOr<std::unique_ptr<grpc::Server>> Listen(const ListenOptions& options,
                                               const std::vector<grpc::Service*>& services);

// gRPC's own log lines become spdlog lines; call once, before the first channel or server.
void RouteGrpcLog();

// Keepalive and reconnect settings for a channel to a coordinator.
std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address,
                                           const std::shared_ptr<grpc::ChannelCredentials>& credentials);

}  // namespace ft::rpc
