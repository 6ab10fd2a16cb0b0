#include "server/api/command_queue.h"

#include <gtest/gtest.h>

namespace ft::api {
namespace {

finetune::worker::v1::Command Command(int64_t id) {
  finetune::worker::v1::Command command;
  command.set_command_id(id);
  return command;
}

TEST(OrdinaryCommandQueue, WhenItOverflowsItSendsWhatItHoldsWithoutAGapAndEnds) {
  CommandQueue queue;
  int64_t sent = 0, id = 0;
  for (int i = 0; i < 10; ++i) queue.Push(Command(++id));
  for (int i = 0; i < 5; ++i) EXPECT_EQ(queue.Pop()->command_id(), ++sent);
  for (size_t i = 0; i < 2 * CommandQueue::kLimit; ++i) queue.Push(Command(++id));
  EXPECT_FALSE(queue.MustEnd());
  queue.Pop();
  ++sent;
  queue.Push(Command(++id));  // There is room again, but what was refused would be missing before it.
  while (const auto command = queue.Pop()) EXPECT_EQ(command->command_id(), ++sent);
  EXPECT_EQ(sent, static_cast<int64_t>(CommandQueue::kLimit) + 5);
  EXPECT_TRUE(queue.MustEnd());
}

TEST(OrdinaryCommandQueue, AStreamThatKeepsUpGoesOn) {
  CommandQueue queue;
  for (int64_t id = 1; id <= 3 * static_cast<int64_t>(CommandQueue::kLimit); ++id) {
    queue.Push(Command(id));
    EXPECT_EQ(queue.Pop()->command_id(), id);
  }
  EXPECT_FALSE(queue.Pop().has_value());
  EXPECT_FALSE(queue.MustEnd());
}

}  // namespace
}  // namespace ft::api
