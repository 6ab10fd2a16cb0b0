#include "core/hub/retry.h"

#include <gtest/gtest.h>

namespace ft::hub {
namespace {

TEST(HubRetryTest, WhatTheHubAsksForIsWaitedFor) {
  const absl::Time now = absl::FromUnixSeconds(1'784'116'800);
  const auto asked = [&](std::map<std::string, std::string> headers) {
    return AskedToWait({.status = 429, .headers = std::move(headers)}, now);
  };
  EXPECT_EQ(asked({{"ratelimit", "\"resolvers\";r=0;t=12"}}), absl::Seconds(13));
  EXPECT_EQ(asked({{"ratelimit", "\"resolvers\";r=7;t=12"}}), std::nullopt);
  EXPECT_EQ(asked({{"ratelimit", "\"resolvers\";r=7;t=12"}, {"retry-after", "3"}}), absl::Seconds(3));
  EXPECT_EQ(asked({{"retry-after", absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", now + absl::Seconds(9),
                                                    absl::UTCTimeZone())}}),
            absl::Seconds(9));
  EXPECT_EQ(asked({{"retry-after", "99999999"}}), kLongestWait);
  EXPECT_EQ(asked({{"retry-after", "-5"}}), absl::ZeroDuration());
  EXPECT_EQ(asked({{"retry-after", "soon"}}), std::nullopt);
}

TEST(HubRetryTest, OtherwiseTheWaitDoubles) {
  for (const auto& [failures, seconds] : {std::pair(1, 1), {2, 2}, {3, 4}, {4, 8}, {9, 8}})
    EXPECT_EQ(WaitBefore(nullptr, failures, absl::UnixEpoch()), absl::Seconds(seconds));
  EXPECT_TRUE(IsPassing(503) && IsPassing(429));
  EXPECT_FALSE(IsPassing(404) || IsPassing(200));
}

}  // namespace
}  // namespace ft::hub
