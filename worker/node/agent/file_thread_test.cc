#include "worker/node/agent/file_thread.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <vector>

namespace ft::agent {
namespace {

TEST(FileThreadTest, WorkIsDoneInOrder) {
  std::vector<int> done;
  std::promise<void> last;
  FileThread thread;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(thread.Run([&, i](std::stop_token) { done.push_back(i); }).ok());
  ASSERT_TRUE(thread.Run([&](std::stop_token) { last.set_value(); }).ok());
  ASSERT_EQ(last.get_future().wait_for(std::chrono::seconds(30)), std::future_status::ready);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(done[static_cast<size_t>(i)], i);
}

TEST(FileThreadTest, AtTheEndWorkIsAskedToStopAndTheRestIsDropped) {
  std::promise<void> begun;
  bool stopped = false, more = false;
  {
    FileThread thread;
    ASSERT_TRUE(thread
                    .Run([&](std::stop_token stop) {
                      begun.set_value();
                      while (!stop.stop_requested()) std::this_thread::yield();
                      stopped = true;
                    })
                    .ok());
    ASSERT_TRUE(thread.Run([&](std::stop_token) { more = true; }).ok());
    begun.get_future().wait();
  }
  EXPECT_TRUE(stopped);
  EXPECT_FALSE(more);
}

TEST(FileThreadTest, TheQueueHasABound) {
  std::promise<void> release;
  FileThread thread;
  ASSERT_TRUE(thread.Run([&](std::stop_token) { release.get_future().wait(); }).ok());
  Status status;
  for (size_t i = 0; i <= FileThread::kQueueLimit && status.ok(); ++i)
    status = thread.Run([](std::stop_token) {});
  release.set_value();
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
}

}  // namespace
}  // namespace ft::agent
