// What a request may hold and an answer may be. A refusal is INVALID_ARGUMENT and names the field, its limit and what was sent.
#pragma once

#include <string>

#include "core/base/status.h"
#include "finetune/v1/jobs.pb.h"

namespace ft::api {

inline constexpr size_t kMaxNameBytes = 256;  // Resource names, display names, request ids.
inline constexpr size_t kMaxReasonBytes = 4 << 10;
inline constexpr size_t kMaxLabelBytes = 64 << 10;  // Keys and values of a job, all together.
// Below the 4 MiB that gRPC clients take by default.
inline constexpr size_t kMaxReplyBytes = 3 << 20;

// `field` as in the request.
Status CheckText(const std::string& field, const std::string& text, size_t max_bytes);

// The name and the request id that most requests have.
template <typename Request>
Status CheckNameAndId(const Request& request) {
  RETURN_IF_ERROR(CheckText("name", request.name(), kMaxNameBytes));
  return CheckText("request_id", request.request_id(), kMaxNameBytes);
}

Status CheckLabels(const google::protobuf::Map<std::string, std::string>& labels);

// A DNS name (core/base/dns_name.h).
Status CheckNodeId(const std::string& node_id);

}  // namespace ft::api
