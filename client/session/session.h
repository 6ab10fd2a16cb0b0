// What every verb works with: where the coordinator is, how to print, and the connection, opened on first use. main
// builds one from environment and options; one thread.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/connect/connection.h"
#include "client/render/catalogue.h"
#include "client/render/sentences.h"
#include "client/render/terminal.h"
#include "core/base/status.h"
#include "core/hub/access.h"
#include "finetune/v1/jobs.grpc.pb.h"

namespace ft::client {

// Exit statuses.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUnavailable = 3;

class Session {
 public:
  Terminal terminal;
  std::string server;              // As given; empty = the user's own socket.
  Security security;               // Used for a HOST:PORT.
  hub::Access hub;                 // Model hubs in this user's name, and this user's caches of them.
  std::string output = "table";    // table | json
  std::filesystem::path data_dir;  // The user's folder: private coordinator and worker keep everything here.
  std::filesystem::path program_dir;  // Holds ftctl, finetuned, ft-worker and ft-rank.
  // Set by the verb's parser; run by main afterwards. Answers the exit status.
  std::function<StatusOr<int>()> action;

  bool json() const { return output == "json"; }
  std::filesystem::path default_socket() const { return data_dir / "finetuned.sock"; }
  StatusOr<Address> ServerAddress() const;

  // The connection; UNAVAILABLE with one sentence when nobody listens.
  StatusOr<const Connection*> Connect();
  // Forgets the connection, after the coordinator was started or stopped.
  void Disconnect() { connection_.reset(); }

  // One call. A coordinator that cannot be reached becomes one sentence with its address and what to do.
  template <typename Stub, typename Request, typename Response>
  StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                          const Request& request, std::chrono::milliseconds timeout = kCallTimeout) {
    ASSIGN_OR_RETURN(const Connection* connection, Connect());
    StatusOr<Response> response = connection->Call(method, request, timeout);
    if (!response.ok()) return Explained(response.status());
    return response;
  }

  // The job of that name, id or resource name, in full.
  StatusOr<v1::Job> GetJob(const std::string& name);

  // All jobs, newest first, without their configurations; at most 100000.
  StatusOr<std::vector<v1::Job>> ListJobs();
  // The newest job of that name that has a result; NOT_FOUND when there is none.
  StatusOr<v1::Job> NewestSucceeded(const std::string& name);

  // As Call explains failures; for streams.
  Status Explained(const Status& status) const;

  template <typename... Args>
  std::string Localized(Text text, const Args&... args) const {
    return client::Localized(terminal, text, args...);
  }
  // What another program said, in the user's language where its sentences are known.
  std::string InLanguage(std::string_view text) const { return client::InLanguage(terminal, text); }

 private:
  Status Unreachable(std::string_view why) const;
  // A call that the coordinator does not know: which side is older.
  Status Unknown(const Status& status) const;

  std::unique_ptr<Connection> connection_;
};

}  // namespace ft::client
