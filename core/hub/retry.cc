#include "core/hub/retry.h"

#include <algorithm>

#include "absl/strings/numbers.h"

namespace ft::hub {
namespace {

// The number behind `;key=` of a structured header.
std::optional<int64_t> Parameter(std::string_view header, std::string_view key) {
  const size_t begin = header.find(StrCat(";", key, "="));
  if (begin == std::string_view::npos) return std::nullopt;
  const std::string_view rest = header.substr(begin + key.size() + 2);
  int64_t number = 0;
  const std::string digits(rest.substr(0, rest.find_first_not_of("0123456789")));
  if (!absl::SimpleAtoi(digits, &number)) return std::nullopt;
  return number;
}

absl::Duration Bounded(absl::Duration wait) { return std::clamp(wait, absl::ZeroDuration(), kLongestWait); }

}  // namespace

bool IsPassing(int status) {
  constexpr int kPassing[] = {408, 429, 500, 502, 503, 504};
  return std::find(std::begin(kPassing), std::end(kPassing), status) != std::end(kPassing);
}

std::optional<absl::Duration> AskedToWait(const HttpAnswer& answer, absl::Time now) {
  const std::string limit = answer.Header("ratelimit");
  const std::optional<int64_t> left = Parameter(limit, "r"), seconds = Parameter(limit, "t");
  if (left == 0 && seconds) return Bounded(absl::Seconds(std::min<int64_t>(*seconds, 1 << 20) + 1));
  const std::string after = answer.Header("retry-after");
  if (int64_t number = 0; absl::SimpleAtoi(after, &number))
    return Bounded(absl::Seconds(std::min<int64_t>(number, 1 << 20)));
  absl::Time date;
  std::string ignored;
  if (absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", after, &date, &ignored)) return Bounded(date - now);
  return std::nullopt;
}

absl::Duration WaitBefore(const HttpAnswer* answer, int failures, absl::Time now) {
  if (answer != nullptr) {
    if (const auto asked = AskedToWait(*answer, now)) return *asked;
  }
  return absl::Seconds(std::min(8, 1 << std::clamp(failures - 1, 0, 3)));
}

}  // namespace ft::hub
