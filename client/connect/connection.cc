#include "client/connect/connection.h"

#include <fmt/format.h>
#include <grpc/support/log.h>

#include <cstdint>
#include <random>

#include "core/tls/credentials.h"

namespace ft::client {
namespace {

// Tried again only when the coordinator did not answer at all; four times within some seconds.
constexpr const char* kServiceConfig = R"({
  "methodConfig": [{
    "name": [{}],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.1s",
      "maxBackoff": "2s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
})";

constexpr int kMaxMessageBytes = 64 << 20;

std::shared_ptr<grpc::ChannelCredentials> CredentialsFor(const Address& address) {
  if (address.ca.empty()) return grpc::InsecureChannelCredentials();
  auto channel = tls::ChannelCredentials({.ca = address.ca});
  if (address.token.empty()) return channel;
  return grpc::CompositeChannelCredentials(channel, grpc::AccessTokenCredentials(address.token));
}

}  // namespace

Connection::Connection(Address address) : address_(std::move(address)) {
  // gRPC's own log would print over our one clear sentence.
  gpr_set_log_function([](gpr_log_func_args*) {});
  grpc::ChannelArguments arguments;
  arguments.SetServiceConfigJSON(kServiceConfig);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  channel_ = grpc::CreateCustomChannel(address_.target, CredentialsFor(address_), arguments);
}

Status Connection::FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  // The two enumerations have the same numbers by design.
  return Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

std::string NewRequestId() {
  std::random_device device;
  const auto word = [&device] { return static_cast<uint64_t>(device()) << 32 | device(); };
  const uint64_t high = (word() & ~uint64_t{0xF000}) | 0x4000;
  const uint64_t low = (word() & ~(uint64_t{3} << 62)) | (uint64_t{1} << 63);
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", high >> 32, high >> 16 & 0xFFFF, high & 0xFFFF,
                     low >> 48, low & 0xFFFFFFFFFFFF);
}

}  // namespace ft::client
