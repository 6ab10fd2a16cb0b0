// Names of nodes: DNS names (RFC 1123), as hosts and Kubernetes nodes have them.
#pragma once

#include <algorithm>
#include <string_view>

namespace ft {

inline constexpr size_t kMaxDnsName = 253;
inline constexpr size_t kMaxDnsLabel = 63;

// Labels of a-z, 0-9 and '-', none at a label's ends, joined by dots.
inline bool IsDnsName(std::string_view name) {
  if (name.empty() || name.size() > kMaxDnsName) return false;
  while (true) {
    const size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    const bool valid =
        !label.empty() && label.size() <= kMaxDnsLabel && label.front() != '-' && label.back() != '-' &&
        label.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
    if (!valid) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

}  // namespace ft
