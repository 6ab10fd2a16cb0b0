#include "client/session/session.h"

#include <sys/un.h>

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "finetune/v1/nodes.grpc.pb.h"

namespace ft::client {
namespace {

constexpr size_t kMostListed = 100'000;

// Compares versions such as 0.1.10; what is no number counts as 0.
bool IsOlder(std::string_view one, std::string_view other) {
  const auto numbers = [](std::string_view text) {
    std::vector<int> parts;
    for (const absl::string_view part : absl::StrSplit(absl::string_view(text.data(), text.size()), '.')) {
      int number = 0;
      parts.push_back(absl::SimpleAtoi(part, &number) ? number : 0);
    }
    return parts;
  };
  return numbers(one) < numbers(other);
}

}  // namespace

StatusOr<Address> Session::ServerAddress() const {
  constexpr size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
  const size_t bytes = default_socket().string().size();
  if (server.empty() && bytes > kMost) {
    return absl::InvalidArgumentError(StrCat("the socket ", default_socket().string(),
                                             " would have a path of ", bytes, " bytes, at most ", kMost,
                                             " are possible: set XDG_DATA_HOME to a shorter folder"));
  }
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
  request.set_view(v1::FULL);
  return Call(&v1::JobService::Stub::GetJob, request);
}

StatusOr<std::vector<v1::Job>> Session::ListJobs() {
  std::vector<v1::Job> jobs;
  v1::ListJobsRequest request;
  request.set_page_size(1000);
  while (jobs.size() < kMostListed) {
    ASSIGN_OR_RETURN(v1::ListJobsResponse page, Call(&v1::JobService::Stub::ListJobs, request));
    for (v1::Job& job : *page.mutable_jobs()) jobs.push_back(std::move(job));
    if (page.next_page_token().empty() || page.jobs().empty()) break;
    request.set_page_token(page.next_page_token());
  }
  return jobs;
}

StatusOr<v1::Job> Session::NewestSucceeded(const std::string& name) {
  ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, ListJobs());
  for (const v1::Job& job : jobs) {
    if (job.display_name() == name && job.state() == v1::SUCCEEDED) return job;
  }
  return absl::NotFoundError(StrCat("no job called '", name, "' has succeeded"));
}

Status Session::Unreachable(std::string_view why) const {
  const StatusOr<Address> address = ServerAddress();
  if (!address.ok()) return address.status();
  const std::string shown = address->local() ? address->socket.string() : address->target;
  return absl::UnavailableError(Localized(Text::kUnreachable, shown, why));
}

Status Session::Explained(const Status& status) const {
  if (absl::IsUnimplemented(status)) return Unknown(status);
  if (!absl::IsUnavailable(status)) return status;
  const StatusOr<Address> address = ServerAddress();
  if (!address.ok()) return address.status();
  const Status probe = Probe(*address);
  if (!probe.ok()) return Unreachable(Message(probe));
  // gRPC itself says UNAVAILABLE for a port that nobody listens on; the coordinator says it for reasons of its own.
  const bool not_connected = Message(status).find("failed to connect") != std::string_view::npos;
  if (!not_connected) return status;
  if (address->local() || Message(status).find("refused") != std::string_view::npos)
    return Unreachable("nobody listens");
  return Unreachable(address->ca.empty() ? "it does not speak plain text: give --ca FILE"
                                         : "its certificate is not accepted, or it does not speak TLS");
}

Status Session::Unknown(const Status& status) const {
  // A refusal of the coordinator's own has a reason; gRPC's, for a call that is not there, has none.
  if (connection_ == nullptr || Message(status).size() > 0) return status;
  const auto server =
      connection_->Call(&v1::NodeService::Stub::GetServerInfo, v1::GetServerInfoRequest(), kCallTimeout);
  if (!server.ok() || server->version() == FT_VERSION) return status;
  return absl::UnimplementedError(Localized(Text::kOtherVersion, FT_VERSION, server->version(),
                                            IsOlder(FT_VERSION, server->version())
                                                ? Localized(Text::kFtctlOlder)
                                                : Localized(Text::kCoordinatorOlder)));
}

}  // namespace ft::client
