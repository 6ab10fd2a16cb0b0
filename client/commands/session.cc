#include "client/commands/session.h"

namespace ft::client {

StatusOr<Address> Session::ServerAddress() const {
  return ParseAddress(server.empty() ? default_socket().string() : server, security);
}

StatusOr<const Connection*> Session::Connect() {
  if (connection_ != nullptr) return connection_.get();
  ASSIGN_OR_RETURN(Address address, ServerAddress());
  const Status probe = Probe(address);
  if (!probe.ok()) return Unreachable(Message(probe));
  connection_ = std::make_unique<Connection>(std::move(address));
  return connection_.get();
}

StatusOr<v1::Job> Session::GetJob(const std::string& name) {
  v1::GetJobRequest request;
  request.set_name(name);
  return Call(&v1::JobService::Stub::GetJob, request);
}

Status Session::Unreachable(std::string_view why) const {
  const StatusOr<Address> address = ServerAddress();
  if (!address.ok()) return address.status();
  const std::string shown = address->local() ? address->socket.string() : address->target;
  return absl::UnavailableError(Say(Text::kUnreachable, shown, why));
}

Status Session::Explained(const Status& status) const {
  if (!absl::IsUnavailable(status)) return status;
  const StatusOr<Address> address = ServerAddress();
  if (!address.ok()) return address.status();
  const Status probe = Probe(*address);
  if (!probe.ok()) return Unreachable(Message(probe));
  // gRPC itself says UNAVAILABLE for a port that nobody listens on; the coordinator says it for reasons of its own.
  const bool not_connected = Message(status).find("failed to connect") != std::string_view::npos;
  if (!not_connected) return status;
  if (address->local() || Message(status).find("refused") != std::string_view::npos) return Unreachable("nobody listens");
  return Unreachable(address->ca.empty() ? "it does not speak plain text: give --ca FILE"
                                         : "its certificate is not accepted, or it does not speak TLS");
}

}  // namespace ft::client
