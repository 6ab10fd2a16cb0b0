#include "core/process/channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ft::process {
namespace {

class Channel : public ::testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    here_ = UniqueFd(fds[0]);
    there_ = UniqueFd(fds[1]);
  }
  UniqueFd here_, there_;
};

TEST_F(Channel, MessagesKeepTheirBordersAndBringTheirDescriptor) {
  int pipe_fds[2];
  ASSERT_EQ(::pipe(pipe_fds), 0);
  const UniqueFd read_end(pipe_fds[0]), write_end(pipe_fds[1]);
  ASSERT_TRUE(SendMessage(here_.get(), {{"op", "one"}}).ok());
  ASSERT_TRUE(SendMessage(here_.get(), {{"op", "two"}}, write_end.get()).ok());
  auto one = ReceiveMessage(there_.get());
  ASSERT_TRUE(one.ok() && one->has_value());
  EXPECT_EQ((*one)->body["op"], "one");
  EXPECT_FALSE((*one)->fd.valid());
  auto two = ReceiveMessage(there_.get());
  ASSERT_TRUE(two.ok() && two->has_value());
  ASSERT_TRUE((*two)->fd.valid());
  ASSERT_EQ(::write((*two)->fd.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(read_end.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  EXPECT_FALSE(ReceiveMessage(there_.get())->has_value());
}

TEST_F(Channel, ClosedAndFullEndsAreToldApart) {
  Status status;
  while (status.ok()) status = SendMessage(here_.get(), {{"op", std::string(30'000, 'x')}});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  there_.Reset();
  EXPECT_EQ(SendMessage(here_.get(), {{"op", "x"}}).code(), absl::StatusCode::kInternal);
  EXPECT_FALSE(SendMessage(here_.get(), {{"op", std::string(kMaxMessageBytes, 'x')}}).ok());
}

TEST_F(Channel, WhatIsNotAnObjectIsRefused) {
  for (const std::string text : {"[]", "{", "nonsense"}) {
    ASSERT_EQ(::send(here_.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    EXPECT_EQ(ReceiveMessage(there_.get()).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
  here_.Reset();
  EXPECT_EQ(ReceiveMessage(there_.get()).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace ft::process
