// Typed errors across gRPC: a Status that carries a finetune.v1.ErrorReason becomes google.rpc.Status with
// ErrorInfo{domain "finetune.dev"}, and back. An INVALID_ARGUMENT of several lines also gets one
// BadRequest.FieldViolation a line. Pure functions; any thread.
#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "core/base/status.h"
#include "finetune/v1/errors.pb.h"

namespace ft::rpc {

inline constexpr char kErrorDomain[] = "finetune.dev";

// The same status, knowing its reason.
Status WithReason(Status status, finetune::v1::ErrorReason reason);

// The reason of a status made by WithReason or FromGrpc; UNSPECIFIED when it has none.
finetune::v1::ErrorReason ReasonOf(const Status& status);

// For a server: code, message and details. OK stays OK.
grpc::Status ToGrpc(const Status& status);

// For a client: code, message and, when the server sent one, the reason.
Status FromGrpc(const grpc::Status& status);

}  // namespace ft::rpc
