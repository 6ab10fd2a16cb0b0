#include "tests/simdevice/runtime/device.h"

#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include "gtest/gtest.h"

namespace ft::simdevice {
namespace {

// A device of its own for each test, with the schedule that it needs.
class SimDeviceStreams : public testing::Test {
 protected:
  ~SimDeviceStreams() override { Device::SetSchedule(before_); }
  void Append(Stream& stream, char letter) {
    ASSERT_EQ(device_.Launch(stream, [this, letter] { done_ += letter; }), kNone);
  }

  const Schedule before_ = Device::schedule();
  Device device_{0};
  Stream& first_ = device_.default_stream();
  Stream& second_ = device_.PoolStream();
  std::string done_;
};

TEST_F(SimDeviceStreams, WorkWaitsUntilItsStreamIsWaitedFor) {
  Device::SetSchedule(Schedule::kLazy);
  Append(first_, 'a');
  Append(second_, 'b');
  Append(first_, 'c');
  EXPECT_EQ(done_, "");
  EXPECT_EQ(device_.Synchronize(first_), kNone);
  EXPECT_EQ(done_, "ac");
  EXPECT_EQ(device_.SynchronizeDevice(), kNone);
  EXPECT_EQ(done_, "acb");
}

TEST_F(SimDeviceStreams, EagerWorkRunsAtOnce) {
  Device::SetSchedule(Schedule::kEager);
  Append(first_, 'a');
  EXPECT_EQ(done_, "a");
}

TEST_F(SimDeviceStreams, AnEventPullsInWhatLiesBeforeIt) {
  Device::SetSchedule(Schedule::kLazy);
  Append(second_, 'a');
  Event event;
  EXPECT_TRUE(Device::Query(event));
  ASSERT_EQ(device_.Record(event, second_), kNone);
  Append(second_, 'b');
  ASSERT_EQ(device_.Wait(first_, event), kNone);
  Append(first_, 'c');
  device_.Synchronize(first_);
  EXPECT_EQ(done_, "ac");
  EXPECT_TRUE(Device::Query(event));
  EXPECT_EQ(Device::Synchronize(event), kNone);
  EXPECT_EQ(done_, "ac");
}

TEST_F(SimDeviceStreams, AQuestionLetsOnePieceRun) {
  Device::SetSchedule(Schedule::kLazy);
  Append(first_, 'a');
  Append(first_, 'b');
  EXPECT_FALSE(device_.Query(first_));
  EXPECT_EQ(done_, "a");
  EXPECT_FALSE(device_.Query(first_));
  EXPECT_TRUE(device_.Query(first_));
  EXPECT_EQ(done_, "ab");
}

TEST_F(SimDeviceStreams, SeedsRunDifferentParts) {
  std::set<std::string> seen;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Device::SetSchedule(Schedule::kSeeded, seed);
    Device device{0};
    Stream& second = device.PoolStream();
    std::string order;
    for (char letter = 'a'; letter < 'g'; ++letter) {
      Stream& stream = letter % 2 == 0 ? device.default_stream() : second;
      device.Launch(stream, [&order, letter] { order += letter; });
    }
    order += '|';
    device.SynchronizeDevice();
    EXPECT_EQ(order.size(), 7u);
    EXPECT_LT(order.find('a'), order.find('c'));  // Streams keep their order.
    EXPECT_LT(order.find('b'), order.find('d'));
    seen.insert(order);
  }
  EXPECT_GT(seen.size(), 2u);
}

TEST_F(SimDeviceStreams, MemoryIsReleasedInTheOrderOfAllItsStreams) {
  Device::SetSchedule(Schedule::kLazy);
  void* block = device_.Allocate(64, first_);
  device_.RecordUse(block, second_);
  std::byte* bytes = device_.Host(block);
  device_.Launch(first_, [bytes] { bytes[0] = std::byte{1}; });
  Append(second_, 'x');
  device_.Free(block);
  EXPECT_FALSE(device_.IsLive(block));
  device_.Synchronize(first_);
  EXPECT_EQ(done_, "");  // The first stream did not wait for the second.
  EXPECT_EQ(bytes[0], std::byte{1});
  device_.Synchronize(second_);
  EXPECT_EQ(bytes[0], std::byte{0xff});
}

TEST_F(SimDeviceStreams, WhereThereIsNoRoomAllWorkRunsFirst) {
  Device::SetSchedule(Schedule::kLazy);
  device_.set_capacity(1024);
  void* block = device_.Allocate(1024, first_);
  Append(first_, 'a');
  EXPECT_EQ(device_.Allocate(512, first_), nullptr);
  device_.Free(block);
  EXPECT_NE(device_.Allocate(1024, second_), nullptr);
  EXPECT_EQ(device_.memory_stats().out_of_memory, 1u);
}

TEST_F(SimDeviceStreams, FlushesAreCountedByStream) {
  Append(first_, 'a');
  device_.Synchronize(first_);
  device_.Synchronize(first_);
  Event event;
  device_.Record(event, second_);
  Device::Synchronize(event);
  EXPECT_EQ(device_.flushes(first_), 2u);
  EXPECT_EQ(device_.flushes(second_), 1u);
  EXPECT_EQ(device_.work_stats().flushes, 3u);
  EXPECT_EQ(device_.work_stats().operations, 1u);
}

TEST_F(SimDeviceStreams, AFaultIsMetWhenTheWorkRuns) {
  Device::SetSchedule(Schedule::kLazy);
  device_.SetFaultPlan({FaultPlan::Kind::kFails, kIllegalAddress, 2});
  Append(first_, 'a');
  Append(first_, 'b');
  Append(first_, 'c');
  EXPECT_EQ(device_.fault(), kNone);
  EXPECT_EQ(device_.Synchronize(first_), kIllegalAddress);
  EXPECT_EQ(done_, "a");
  EXPECT_EQ(device_.Launch(second_, [] {}), kIllegalAddress);
  Event event;
  EXPECT_EQ(device_.Record(event, second_), kIllegalAddress);
}

TEST_F(SimDeviceStreams, ALostDeviceSaysSoAtOnce) {
  Device::SetSchedule(Schedule::kLazy);
  device_.SetFaultPlan({FaultPlan::Kind::kLost, kNone, 2});
  void* block = device_.Allocate(64, first_);
  Append(first_, 'a');
  EXPECT_EQ(device_.Launch(first_, [] {}), kLost);
  EXPECT_EQ(device_.SynchronizeDevice(), kLost);
  EXPECT_EQ(done_, "");
  device_.Free(block);  // Destructors still come here.
}

TEST_F(SimDeviceStreams, TheNthAllocationFailsOnce) {
  device_.SetFaultPlan({FaultPlan::Kind::kOutOfMemory, kNone, 2});
  EXPECT_NE(device_.Allocate(64, first_), nullptr);
  EXPECT_EQ(device_.Allocate(64, first_), nullptr);
  EXPECT_NE(device_.Allocate(64, first_), nullptr);
}

TEST_F(SimDeviceStreams, WorkThatThrowsIsAFault) {
  device_.Launch(first_, [] { throw std::out_of_range("index 7 of 5"); });
  EXPECT_EQ(device_.Synchronize(first_), kAssert);
}

TEST_F(SimDeviceStreams, ThreadsWaitForEachOthersWork) {
  Device::SetSchedule(Schedule::kLazy);
  Device other{0};
  std::atomic<int> count = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Device& own = t % 2 == 0 ? device_ : other;
      Device& far = t % 2 == 0 ? other : device_;
      for (int i = 0; i < 200; ++i) {
        own.Launch(own.default_stream(), [&] { ++count; });
        Event event;
        own.Record(event, own.default_stream());
        far.Wait(far.default_stream(), event);
        if (i % 7 == 0) far.Synchronize(far.default_stream());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  device_.SynchronizeDevice();
  other.SynchronizeDevice();
  EXPECT_EQ(count, 800);
}

}  // namespace
}  // namespace ft::simdevice
