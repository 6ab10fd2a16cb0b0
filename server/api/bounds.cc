#include "server/api/bounds.h"

#include "core/base/dns_name.h"
#include "core/base/excerpt.h"

namespace ft::api {

Status CheckText(const std::string& field, const std::string& text, size_t max_bytes) {
  if (text.size() <= max_bytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(field, ": has ", text.size(), " bytes, at most ", max_bytes, " are taken: shorten it"));
}

Status CheckLabels(const google::protobuf::Map<std::string, std::string>& labels) {
  size_t bytes = 0;
  for (const auto& [key, value] : labels) bytes += key.size() + value.size();
  if (bytes <= kMaxLabelBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat("labels: have ", bytes, " bytes in all, at most ", kMaxLabelBytes,
                                           " are taken: put what is longer into a file"));
}

Status CheckNodeId(const std::string& node_id) {
  if (IsDnsName(node_id)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat("node_id: '", Excerpt(node_id, 100),
             "' is no DNS name of a-z, 0-9, '-' and '.': give the worker another with --node-id"));
}

}  // namespace ft::api
