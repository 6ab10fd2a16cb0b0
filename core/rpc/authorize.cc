#include "core/rpc/authorize.h"

#include <grpc/grpc_security_constants.h>

#include <spdlog/spdlog.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "core/base/file.h"
#include "core/base/sha256.h"

namespace ft::rpc {
namespace {

constexpr uint64_t kMaxTokenFileBytes = 1 << 20;

constexpr absl::Duration kLookAgain = absl::Seconds(1);

// Says what was refused without letting a client fill the log.
class RefusalLog {
 public:
  explicit RefusalLog(OnRefused on_refused) : on_refused_(std::move(on_refused)) {}

  grpc::Status Refuse(grpc::StatusCode code, const char* reason, const std::string& message) {
    if (on_refused_) on_refused_(reason);
    const int64_t now = absl::ToUnixSeconds(absl::Now());
    if (logged_.exchange(now) != now) spdlog::warn("a call was refused: {}", message);
    return {code, message};
  }

 private:
  const OnRefused on_refused_;
  std::atomic<int64_t> logged_ = 0;  // Unix second.
};

class RoleCheck final : public grpc::AuthMetadataProcessor {
 public:
  RoleCheck(std::string role, OnRefused on_refused) : role_(std::move(role)), log_(std::move(on_refused)) {}
  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata&, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    for (const grpc::string_ref& uri : context->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
      if (uri == role_) return grpc::Status::OK;
    }
    return log_.Refuse(
        grpc::StatusCode::PERMISSION_DENIED, "no_role",
        StrCat("the client's certificate does not name the URI ", role_, ": issue one that does"));
  }

 private:
  const std::string role_;
  RefusalLog log_;
};

using Users = std::map<std::string, std::string>;  // By digest.

StatusOr<Users> ReadUsers(const std::string& path);

class TokenCheck final : public grpc::AuthMetadataProcessor {
 public:
  TokenCheck(std::string path, Users users, OnRefused on_refused)
      : path_(std::move(path)),
        log_(std::move(on_refused)),
        users_(std::move(users)),
        stamp_(StampOf(path_)) {}
  bool IsBlocking() const override { return false; }

  // Digests are looked up, never tokens, so the time it takes says nothing about a token.
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata* consumed,
                       OutputMetadata*) override {
    const auto found = metadata.find("authorization");
    if (found == metadata.end()) {
      return log_.Refuse(grpc::StatusCode::UNAUTHENTICATED, "no_token",
                         "this coordinator wants a token: give it with --token-file");
    }
    const std::string value(found->second.data(), found->second.size());
    consumed->emplace("authorization", value);
    const std::optional<std::string> user = UserOf(value);
    if (user) {
      context->AddProperty(kUserProperty, *user);
      return grpc::Status::OK;
    }
    return log_.Refuse(grpc::StatusCode::UNAUTHENTICATED, "unknown_token",
                       "the coordinator does not know this token: ask for a new one");
  }

 private:
  // What tells one version of a file from another.
  static std::pair<std::filesystem::file_time_type, uintmax_t> StampOf(const std::string& path) {
    std::error_code error;
    const auto time = std::filesystem::last_write_time(path, error);
    return {time, std::filesystem::file_size(path, error)};
  }

  std::optional<std::string> UserOf(const std::string& authorization) {
    constexpr absl::string_view kBearer = "bearer ";
    if (!absl::StartsWithIgnoreCase(authorization, kBearer)) return std::nullopt;
    const std::string digest = Hex(Sha256Of(authorization.substr(kBearer.size())));
    std::lock_guard lock(mutex_);
    ReadAgain();
    const auto found = users_.find(digest);
    return found == users_.end() ? std::nullopt : std::optional(found->second);
  }

  void ReadAgain() {
    const absl::Time now = absl::Now();
    if (now - looked_ < kLookAgain) return;
    looked_ = now;
    const auto stamp = StampOf(path_);
    if (stamp == stamp_) return;
    stamp_ = stamp;
    StatusOr<Users> users = ReadUsers(path_);
    if (users.ok()) {
      users_ = *std::move(users);
      spdlog::info("tokens of {} user(s) were read from {}", users_.size(), path_);
    } else {
      spdlog::error("{}; the users stay as they were", std::string(Message(users.status())));
    }
  }

  const std::string path_;
  RefusalLog log_;
  std::mutex mutex_;  // Guards all below.
  Users users_;
  std::pair<std::filesystem::file_time_type, uintmax_t> stamp_;
  absl::Time looked_;
};

bool IsDigest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

StatusOr<Users> ReadUsers(const std::string& path) {
  const StatusOr<std::string> text = ReadFile(path, kMaxTokenFileBytes);
  if (!text.ok()) return absl::InvalidArgumentError(StrCat("tokens: ", text.status().message()));
  Users users;
  std::istringstream lines(*text);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string name, digest, rest;
    if (!(words >> name) || name.starts_with('#')) continue;
    if (!(words >> digest) || !IsDigest(digest) || words >> rest) {
      return absl::InvalidArgumentError(StrCat(
          "tokens: ", path, ":", number, ": write NAME and the SHA-256 of the token, 64 hexadecimal digits"));
    }
    users[digest] = name;
  }
  if (users.empty()) return absl::InvalidArgumentError(StrCat("tokens: ", path, " names no user"));
  return users;
}

}  // namespace

std::shared_ptr<grpc::AuthMetadataProcessor> RequireRole(std::string role, OnRefused on_refused) {
  return std::make_shared<RoleCheck>(std::move(role), std::move(on_refused));
}

StatusOr<std::shared_ptr<grpc::AuthMetadataProcessor>> RequireToken(const std::string& path,
                                                                    OnRefused on_refused) {
  ASSIGN_OR_RETURN(Users users, ReadUsers(path));
  return std::make_shared<TokenCheck>(path, std::move(users), std::move(on_refused));
}

bool MayBeNode(const grpc::AuthContext& context, const std::string& node_id) {
  bool names_any = false;
  for (const grpc::string_ref& uri : context.FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
    if (!uri.starts_with(kNodePrefix)) continue;
    names_any = true;
    if (std::string(uri.data(), uri.size()) == kNodePrefix + node_id) return true;
  }
  return !names_any;
}

}  // namespace ft::rpc
