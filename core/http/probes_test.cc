#include "core/http/probes.h"

#include <gtest/gtest.h>

namespace ft::http {
namespace {

TEST(Probes, LiveWhileEveryLoopTurns) {
  const auto at = [](int seconds) { return absl::Seconds(seconds); };
  EXPECT_EQ(LivePage({{"loop", at(100)}, {"writer", at(95)}}, at(110)).status, 200);
  const Page stuck = LivePage({{"loop", at(100)}, {"writer", at(80)}}, at(110));
  EXPECT_EQ(stuck.status, 503);
  EXPECT_EQ(stuck.body, "writer has not turned for 30s\n");
}

}  // namespace
}  // namespace ft::http
