#include "core/rpc/errors.h"

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace ft::rpc {
namespace {

using finetune::v1::ErrorReason;

constexpr char kReasonUrl[] = "finetune.dev/reason";

// "job.yaml:7: train.lrx: unknown key" -> field "train.lrx"; a line of another shape has no field.
std::string FieldOf(const std::string& line) {
  const size_t first = line.find(": ");
  if (first == std::string::npos) return "";
  const size_t second = line.find(": ", first + 2);
  return second == std::string::npos ? "" : line.substr(first + 2, second - first - 2);
}

google::rpc::BadRequest Violations(const std::string& message) {
  google::rpc::BadRequest bad;
  size_t start = 0;
  while (start < message.size() && bad.field_violations_size() < 100) {
    const size_t end = std::min(message.find('\n', start), message.size());
    const std::string line = message.substr(start, end - start);
    if (!line.empty()) {
      auto* violation = bad.add_field_violations();
      violation->set_field(FieldOf(line));
      violation->set_description(line);
    }
    start = end + 1;
  }
  return bad;
}

}  // namespace

Status WithReason(Status status, ErrorReason reason) {
  if (!status.ok()) status.SetPayload(kReasonUrl, absl::Cord(finetune::v1::ErrorReason_Name(reason)));
  return status;
}

ErrorReason ReasonOf(const Status& status) {
  const auto payload = status.GetPayload(kReasonUrl);
  ErrorReason reason = finetune::v1::ERROR_REASON_UNSPECIFIED;
  if (payload.has_value()) finetune::v1::ErrorReason_Parse(std::string(*payload), &reason);
  return reason;
}

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message(Message(status));
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  const ErrorReason reason = ReasonOf(status);
  google::rpc::ErrorInfo info;
  info.set_domain(kErrorDomain);
  info.set_reason(finetune::v1::ErrorReason_Name(reason));
  details.add_details()->PackFrom(info);
  if (reason == finetune::v1::JOB_CONFIG_INVALID || reason == finetune::v1::NOT_SUPPORTED_YET) {
    details.add_details()->PackFrom(Violations(message));
  }
  if (reason == finetune::v1::INBOX_FULL) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(1);
    details.add_details()->PackFrom(retry);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message, details.SerializeAsString());
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return result;
  for (const auto& any : details.details()) {
    google::rpc::ErrorInfo info;
    ErrorReason reason;
    if (any.UnpackTo(&info) && info.domain() == kErrorDomain &&
        finetune::v1::ErrorReason_Parse(info.reason(), &reason)) {
      return WithReason(std::move(result), reason);
    }
  }
  return result;
}

}  // namespace ft::rpc
