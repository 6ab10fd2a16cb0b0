// When a request is worth another try, and how long to wait before it. Pure.
#pragma once

#include <optional>

#include "absl/time/time.h"
#include "core/hub/transport.h"

namespace ft::hub {

// Tries in a row, without a byte of progress between them, after which it is said that it does not work.
inline constexpr int kMostTries = 5;
// No hub's window is longer; who asks for more is not waited for.
inline constexpr absl::Duration kLongestWait = absl::Seconds(301);

// 408, 429, 500, 502, 503, 504.
bool IsPassing(int http_status);

// How long the hub asks to wait: RateLimit of which nothing is left (`"resolvers";r=0;t=12`), or Retry-After in seconds or as a
// date. Nothing when it does not say.
std::optional<absl::Duration> AskedToWait(const HttpAnswer& answer, absl::Time now);

// Before try number `failures` + 1: what was asked for, else 1 s, doubling to 8 s.
absl::Duration WaitBefore(const HttpAnswer* answer, int failures, absl::Time now);

}  // namespace ft::hub
