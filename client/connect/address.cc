#include "client/connect/address.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "core/base/file.h"
#include "core/tls/credentials.h"

namespace ft::client {
namespace {

constexpr std::string_view kDefaultPort = "7717";
constexpr uint64_t kMaxTokenBytes = 4096;

bool IsLoopback(std::string_view host) {
  return host == "localhost" || host == "[::1]" || host.substr(0, 4) == "127.";
}

bool IsPort(std::string_view text) {
  const bool digits = !text.empty() && text.size() <= 5 &&
                      std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits && std::stoi(std::string(text)) > 0 && std::stoi(std::string(text)) < 65536;
}

StatusOr<Address> UnixAddress(std::string_view path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return absl::InvalidArgumentError(StrCat("the socket path ", path, " has ", path.size(),
                                             " bytes, at most ", sizeof(sockaddr_un::sun_path) - 1,
                                             " are possible: give a shorter one with --server"));
  }
  Address address;
  address.socket = std::filesystem::absolute(std::filesystem::path(path)).lexically_normal();
  address.target = StrCat("unix:", address.socket.string());
  return address;
}

StatusOr<Address> Secured(Address address, const Security& security) {
  if (security.ca.empty()) {
    if (security.token_file.empty()) return address;
    return absl::InvalidArgumentError("a token is sent over TLS only: give --ca FILE too");
  }
  RETURN_IF_ERROR(tls::Check({.ca = security.ca}, "--ca"));
  address.ca = security.ca;
  if (security.token_file.empty()) return address;
  const StatusOr<std::string> text = ReadFile(security.token_file, kMaxTokenBytes);
  if (!text.ok()) return absl::InvalidArgumentError(StrCat("--token-file: ", text.status().message()));
  address.token = text->substr(0, text->find_last_not_of(" \t\r\n") + 1);
  if (address.token.empty() || address.token.find_first_of(" \t\r\n") != std::string::npos)
    return absl::InvalidArgumentError(
        StrCat("--token-file: ", security.token_file, " does not hold one word"));
  return address;
}

}  // namespace

StatusOr<Address> ParseAddress(std::string_view text, const Security& security) {
  constexpr std::string_view kUnix = "unix:";
  if (text.substr(0, kUnix.size()) == kUnix) {
    std::string_view path = text.substr(kUnix.size());
    if (path.substr(0, 2) == "//") path.remove_prefix(2);
    return UnixAddress(path);
  }
  if (text.find('/') != std::string_view::npos) return UnixAddress(text);
  const size_t colon = text.rfind(':');
  const bool has_port = colon != std::string_view::npos && text.back() != ']';
  const std::string_view host = has_port ? text.substr(0, colon) : text;
  const std::string_view port = has_port ? text.substr(colon + 1) : kDefaultPort;
  if (host.empty() || !IsPort(port)) {
    return absl::InvalidArgumentError(
        StrCat("'", text, "' is no address: write HOST:PORT, /path/to/socket or unix:/path/to/socket"));
  }
  if (security.ca.empty() && !IsLoopback(host)) {
    return absl::InvalidArgumentError(
        StrCat("'", host,
               "' is another machine and plain text is allowed on this machine only: "
               "give --ca FILE if it speaks TLS, else forward its port, e.g. ssh -L "
               "7717:localhost:7717 ",
               host, ", and use localhost:7717"));
  }
  return Secured(Address{.target = StrCat(host, ":", port)}, security);
}

Status Probe(const Address& address) {
  if (!address.local()) return absl::OkStatus();
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoStatus("make a socket for", address.socket, errno);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  const std::string path = address.socket.string();
  if (path.size() >= sizeof(name.sun_path))
    return absl::InvalidArgumentError(StrCat(path, " is too long a path"));
  std::memcpy(name.sun_path, path.data(), path.size());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0)
    return absl::OkStatus();
  switch (errno) {
    case EAGAIN: return absl::OkStatus();  // Its backlog is full, so somebody listens.
    case ENOENT: return absl::NotFoundError("no such socket");
    case ECONNREFUSED: return absl::UnavailableError("nobody listens");
    case EACCES: return absl::PermissionDeniedError("it belongs to another user");
    default: return absl::UnavailableError(std::string(std::strerror(errno)));
  }
}

}  // namespace ft::client
