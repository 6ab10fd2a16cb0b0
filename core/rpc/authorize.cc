#include "core/rpc/authorize.h"

#include <grpc/grpc_security_constants.h>

#include <set>
#include <sstream>

#include "core/base/file.h"
#include "core/base/sha256.h"

namespace ft::rpc {
namespace {

constexpr uint64_t kMaxTokenFileBytes = 1 << 20;

class RoleCheck final : public grpc::AuthMetadataProcessor {
 public:
  explicit RoleCheck(std::string role) : role_(std::move(role)) {}
  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata&, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    for (const grpc::string_ref& uri : context->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
      if (uri == role_) return grpc::Status::OK;
    }
    return {grpc::StatusCode::PERMISSION_DENIED,
            StrCat("the client's certificate does not name the URI ", role_, ": issue one that does")};
  }

 private:
  const std::string role_;
};

class TokenCheck final : public grpc::AuthMetadataProcessor {
 public:
  explicit TokenCheck(std::set<std::string> digests) : digests_(std::move(digests)) {}
  bool IsBlocking() const override { return false; }

  // Digests are looked up, never tokens, so the time it takes says nothing about a token.
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext*, OutputMetadata* consumed,
                       OutputMetadata*) override {
    const auto found = metadata.find("authorization");
    if (found == metadata.end())
      return {grpc::StatusCode::UNAUTHENTICATED, "this coordinator wants a token: give it with --token-file"};
    const std::string value(found->second.data(), found->second.size());
    consumed->emplace("authorization", value);
    constexpr std::string_view kBearer = "Bearer ";
    if (value.starts_with(kBearer) && digests_.contains(Hex(Sha256Of(value.substr(kBearer.size())))))
      return grpc::Status::OK;
    return {grpc::StatusCode::UNAUTHENTICATED, "the coordinator does not know this token: ask for a new one"};
  }

 private:
  const std::set<std::string> digests_;
};

bool IsDigest(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::shared_ptr<grpc::AuthMetadataProcessor> RequireRole(std::string role) {
  return std::make_shared<RoleCheck>(std::move(role));
}

StatusOr<std::shared_ptr<grpc::AuthMetadataProcessor>> RequireToken(const std::string& path) {
  const StatusOr<std::string> text = ReadFile(path, kMaxTokenFileBytes);
  if (!text.ok()) return absl::InvalidArgumentError(StrCat("tokens: ", text.status().message()));
  std::set<std::string> digests;
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
    digests.insert(digest);
  }
  if (digests.empty()) return absl::InvalidArgumentError(StrCat("tokens: ", path, " names no user"));
  return std::make_shared<TokenCheck>(std::move(digests));
}

}  // namespace ft::rpc
