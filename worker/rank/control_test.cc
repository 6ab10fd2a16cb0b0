#include "worker/rank/control.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ft::rank {
namespace {

class ControlTest : public testing::Test {
 protected:
  ControlTest() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    sender_ = UniqueFd(fds[0]);
    control_ = std::make_unique<Control>(fds[1]);
  }
  void Send(std::string_view text) {
    ASSERT_EQ(::write(sender_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  UniqueFd sender_;
  std::unique_ptr<Control> control_;
};

TEST_F(ControlTest, WordsArriveInPiecesAndStopStays) {
  EXPECT_FALSE(control_->Poll().checkpoint);
  Send("check");
  EXPECT_FALSE(control_->Poll().checkpoint);
  Send("point\nstop\n");
  const Control::Commands wishes = control_->Poll();
  EXPECT_TRUE(wishes.checkpoint);
  EXPECT_TRUE(wishes.stop);
  EXPECT_FALSE(control_->Poll().checkpoint);
  EXPECT_TRUE(control_->Poll().stop);
}

TEST_F(ControlTest, AStopIsSeenBeforeTheRanksHaveMet) {
  EXPECT_FALSE(control_->IsAskedToStop());
  Send("checkpoint\nstop\n");
  EXPECT_TRUE(control_->IsAskedToStop());
  EXPECT_TRUE(control_->Poll().checkpoint);
  EXPECT_TRUE(absl::IsCancelled(control_->AwaitRendezvous(std::chrono::minutes(1), nullptr).status()));
}

TEST_F(ControlTest, ClosedSocketAndNonsenseAreHarmless) {
  Send(std::string(1000, 'x'));
  EXPECT_FALSE(control_->Poll().stop);
  Send("stop\n");
  EXPECT_TRUE(control_->Poll().stop);
  sender_.Reset();
  EXPECT_TRUE(control_->Poll().stop);
  EXPECT_FALSE(Control(-1).Poll().stop);
}

TEST_F(ControlTest, RendezvousComesBetweenOtherWordsAndTwiceIsOnce) {
  const auto soon = std::chrono::seconds(5);
  Send("checkpoint\nrendezvous some-host.example:4000\nrendezvous some-host.example:4000\n");
  EXPECT_EQ(control_->AwaitRendezvous(soon, {}).value(), "some-host.example:4000");
  EXPECT_TRUE(control_->Poll().checkpoint);
}

TEST_F(ControlTest, WaitingForTheRendezvousEnds) {
  int looks = 0;
  const auto late = control_->AwaitRendezvous(std::chrono::milliseconds(120), [&] { ++looks; });
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_GE(looks, 1);
  sender_.Reset();
  EXPECT_EQ(control_->AwaitRendezvous(std::chrono::seconds(5), {}).status().code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace ft::rank
