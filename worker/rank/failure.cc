#include "worker/rank/failure.h"

#include "absl/strings/cord.h"

namespace ft::rank {
namespace {

constexpr const char* kPayload = "finetune.v1.FailureClass";

}  // namespace

Status WithClass(Status status, std::string_view failure_class) {
  if (!status.ok() && !status.GetPayload(kPayload))
    status.SetPayload(kPayload, absl::Cord(std::string(failure_class)));
  return status;
}

Status WithExchangeClass(Status status, std::string_view failure_class) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kInternal: return WithClass(std::move(status), "NETWORK");
    case absl::StatusCode::kDataLoss: return WithClass(std::move(status), "DEVICE_FAULT");
    default: return WithClass(std::move(status), failure_class);
  }
}

std::string_view StepFailureClass(const Status& status) {
  return absl::IsInvalidArgument(status) ? "DATA" : "NAN_LOSS";
}

std::string FailureClass(const Status& status) {
  const auto payload = status.GetPayload(kPayload);
  return payload ? std::string(*payload) : "UNKNOWN_EXIT";
}

records::Result Failed(const Status& status, int64_t step) {
  return {.state = records::ResultState::kFailed,
          .failure_class = FailureClass(status),
          .message = std::string(Message(status)),
          .step = step};
}

}  // namespace ft::rank
