#include "worker/rank/failure.h"

#include <new>
#include <optional>

#include "absl/strings/cord.h"
#include "worker/device/fault.h"

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
  if (absl::IsAborted(status) || absl::IsResourceExhausted(status)) return "CHECKPOINT_IO";
  return absl::IsInvalidArgument(status) ? "DATA" : "NAN_LOSS";
}

std::string FailureClass(const Status& status) {
  const auto payload = status.GetPayload(kPayload);
  return payload ? std::string(*payload) : "UNKNOWN_EXIT";
}

Status ThrownStatus(const std::exception& error) {
  if (const std::optional<device::Fault> fault = device::FaultOf(error)) {
    switch (fault->kind) {
      case device::FaultKind::kOutOfMemory:
        return WithClass(
            absl::ResourceExhaustedError(StrCat("out of memory on the device: ", fault->message)),
            "DEVICE_OOM");
      case device::FaultKind::kUnusable:
        return WithClass(absl::FailedPreconditionError(StrCat("the device cannot be used: ", fault->message)),
                         "CONFIG");
      case device::FaultKind::kFault:
        return WithClass(absl::InternalError(StrCat("the device failed: ", fault->message)), "DEVICE_FAULT");
    }
  }
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) {
    return WithClass(absl::ResourceExhaustedError(
                         "out of memory: lower train.max_length or train.micro_batch, or use qlora"),
                     "HOST_OOM");
  }
  return absl::InternalError(error.what());
}

Status Guarded(const std::function<Status()>& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    return ThrownStatus(error);
  }
}

records::Result Failed(const Status& status, int64_t step) {
  return {.state = records::ResultState::kFailed,
          .failure_class = FailureClass(status),
          .message = std::string(Message(status)),
          .step = step};
}

}  // namespace ft::rank
