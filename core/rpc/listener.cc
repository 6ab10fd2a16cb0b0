#include "core/rpc/listener.h"

#include <arpa/inet.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/base/file.h"

namespace ft::rpc {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

bool IsUnix(std::string_view address) { return address.starts_with(kUnixPrefix); }

Status CheckUnixSocket(const std::string& path) {
  sockaddr_un name{};
  if (path.size() >= sizeof(name.sun_path)) {
    return absl::InvalidArgumentError(StrCat("socket path ", path, " has ", path.size(), " bytes, at most ",
                                             sizeof(name.sun_path) - 1,
                                             " are possible: choose a shorter data folder"));
  }
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0) {
    return absl::UnavailableError(
        StrCat("socket ", path, " is in use by a running program: stop it or choose another"));
  }
  return absl::OkStatus();
}

StatusOr<int> PortOf(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = -1;
  if (colon != std::string::npos) port = std::atoi(address.c_str() + colon + 1);
  if (port < 0 || port > 65535)
    return absl::InvalidArgumentError(StrCat("address ", address, " has no port from 0 to 65535"));
  return port;
}

// The IPv4 address to try; names and IPv6 are tried on loopback, which finds most ports that are taken.
in_addr HostToTry(const std::string& address) {
  in_addr host{};
  if (::inet_pton(AF_INET, address.substr(0, address.rfind(':')).c_str(), &host) != 1)
    host.s_addr = htonl(INADDR_LOOPBACK);
  return host;
}

Status CheckPort(const std::string& address, int port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(static_cast<uint16_t>(port));
  name.sin_addr = HostToTry(address);
  UniqueFd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0) {
    return absl::UnavailableError(StrCat("cannot listen on ", address, ": ", std::strerror(errno),
                                         "; stop the program that holds the port or choose another"));
  }
  return absl::OkStatus();
}

void LogFromGrpc(gpr_log_func_args* args) {
  switch (args->severity) {
    case GPR_LOG_SEVERITY_ERROR: spdlog::warn("grpc: {}", args->message); break;
    case GPR_LOG_SEVERITY_INFO: spdlog::debug("grpc: {}", args->message); break;
    case GPR_LOG_SEVERITY_DEBUG: spdlog::trace("grpc: {}", args->message); break;
  }
}

}  // namespace

bool IsLoopback(std::string_view address) {
  const std::string_view host = address.substr(0, address.rfind(':'));
  return host == "127.0.0.1" || host == "localhost" || host == "[::1]";
}

Status CheckListenAddress(const std::string& address, bool tls) {
  if (IsUnix(address)) return CheckUnixSocket(address.substr(kUnixPrefix.size()));
  if (!tls && !IsLoopback(address)) {
    return absl::InvalidArgumentError(
        StrCat("address ", address,
               " is not loopback: without certificate and key, plain text is served on "
               "Unix sockets, 127.0.0.1 and [::1] only"));
  }
  ASSIGN_OR_RETURN(const int port, PortOf(address));
  return CheckPort(address, port);
}

StatusOr<std::unique_ptr<grpc::Server>> Listen(const ListenOptions& options,
                                               const std::vector<grpc::Service*>& services) {
  grpc::EnableDefaultHealthCheckService(true);
  static const bool reflection = (grpc::reflection::InitProtoReflectionServerBuilderPlugin(), true);
  (void)reflection;
  grpc::ServerBuilder builder;
  std::vector<int> ports(options.addresses.size(), 0);
  for (size_t i = 0; i < options.addresses.size(); ++i) {
    const std::string& address = options.addresses[i];
    const bool tls = options.tls != nullptr && !IsUnix(address);
    RETURN_IF_ERROR(CheckListenAddress(address, tls));
    builder.AddListeningPort(address, tls ? options.tls : grpc::InsecureServerCredentials(), &ports[i]);
  }
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder.SetMaxReceiveMessageSize(options.max_message_bytes);
  for (grpc::Service* service : services) builder.RegisterService(service);
  const mode_t old_mask = ::umask(0177);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  ::umask(old_mask);
  for (size_t i = 0; i < options.addresses.size(); ++i) {
    if (server != nullptr && ports[i] != 0) continue;
    return absl::UnavailableError(StrCat("cannot listen on ", options.addresses[i],
                                         ": stop the program that holds it or choose another address"));
  }
  if (server == nullptr) return absl::UnavailableError("cannot start the gRPC server");
  for (const std::string& name : options.service_names)
    server->GetHealthCheckService()->SetServingStatus(name, /*serving=*/true);
  return server;
}

void RouteGrpcLog() { gpr_set_log_function(LogFromGrpc); }

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address,
                                           const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

}  // namespace ft::rpc
