#include "worker/train/comm/gloo_work.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace ft::comm {
namespace {

using ::testing::ThrowsMessage;
constexpr std::chrono::milliseconds kTime{1};

class ScriptedWork : public c10d::Work {
 public:
  void End(std::exception_ptr failure = nullptr) { finish(std::move(failure)); }
};

// Ends between the end of the time and the next look at it.
class WorkThatEndsLate final : public ScriptedWork {
 public:
  explicit WorkThatEndsLate(std::exception_ptr failure = nullptr) : failure_(std::move(failure)) {}
  bool wait(std::chrono::milliseconds timeout) override {
    if (isCompleted()) return ScriptedWork::wait(timeout);
    End(failure_);
    throw std::runtime_error("Operation timed out!");
  }

 private:
  const std::exception_ptr failure_;
};

std::exception_ptr Failure() { return std::make_exception_ptr(std::runtime_error("reset by peer")); }

TEST(GlooWork, ThatGoesOnHasNotEnded) {
  ScriptedWork work;
  EXPECT_FALSE(EndsWithin(work, kTime));
  work.End();
  EXPECT_TRUE(EndsWithin(work, kTime));
}

TEST(GlooWork, ThatEndsJustAfterTheTimeHasNotFailed) {
  WorkThatEndsLate work;
  EXPECT_TRUE(EndsWithin(work, kTime));
}

TEST(GlooWork, ThrowsWhatTheWorkFailedWith) {
  ScriptedWork failed;
  failed.End(Failure());
  EXPECT_THAT([&] { EndsWithin(failed, kTime); }, ThrowsMessage<std::runtime_error>("reset by peer"));
  WorkThatEndsLate late(Failure());
  EXPECT_THAT([&] { EndsWithin(late, kTime); }, ThrowsMessage<std::runtime_error>("reset by peer"));
}

}  // namespace
}  // namespace ft::comm
