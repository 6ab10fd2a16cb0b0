#include "core/rankhost/channel.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace ft::rankhost {
namespace {

TEST(ChannelTest, EveryMessageComesBackAndAnFdTravels) {
  auto pair = Channel::Pair();
  ASSERT_TRUE(pair.ok());
  auto& [one, other] = *pair;
  const RankKey key{"job", 3, 1};
  const Message messages[] = {Start{key, {"/bin/true", "x"}, "/", "/o", "/e"}, Signal{key, 15}, Forget{key},
                              Inventory{"i", "b", {{key, 7, true, 9}}}, Started{key, 7}, StartFailed{key, "why"},
                              Exited{key, 256}, ControlSocket{key}};
  for (const Message& message : messages) {
    ASSERT_TRUE(one.Send(message, message.index() == 4 ? STDERR_FILENO : -1).ok());
    auto received = other.Receive();
    ASSERT_TRUE(received.ok() && received->has_value());
    EXPECT_EQ(Encode((*received)->message), Encode(message));
    EXPECT_EQ((*received)->fd.valid(), message.index() == 4);
  }
  EXPECT_FALSE(other.Receive()->has_value());
}

TEST(ChannelTest, GoneAndStuckEndsAreUnavailable) {
  auto pair = Channel::Pair();
  Status status;
  for (int i = 0; i < 100'000 && status.ok(); ++i) status = pair->first.Send(StartFailed{{}, std::string(50'000, 'x')});
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  { const Channel gone = std::move(pair->second); }
  EXPECT_TRUE(absl::IsUnavailable(pair->first.Send(Forget{})));
}

TEST(ChannelTest, NonsenseIsRefused) {
  EXPECT_FALSE(Decode("{}").ok());
  EXPECT_FALSE(Decode("nonsense").ok());
  EXPECT_FALSE(Decode(R"({"is":"start","key":{"job":1}})").ok());
}

}  // namespace
}  // namespace ft::rankhost
