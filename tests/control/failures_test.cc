// Failure classes and their budgets, hangs, and faults in the middle of a checkpoint (F30).
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <random>
#include <thread>

#include "tests/control/started_cluster.h"

namespace ft::testing {
namespace {

using std::chrono::milliseconds;

constexpr char kTimes[] = "retry_backoff: 20ms\n";

class Failures : public StartedCluster {
 protected:
  explicit Failures(std::string worker = "")
      : StartedCluster({.coordinator = kTimes, .worker = std::move(worker)}) {}
  // A job whose every attempt fails with `failure_class`: how many attempts train.
  int64_t AttemptsUntilFailed(const std::string& failure_class) {
    const pb::Job job =
        Submit({.name = failure_class,
                .labels = "  fake_fail_at: \"3\"\n  fake_fail_class: \"" + failure_class + "\"\n"});
    const pb::Job failed = cluster_.WaitForState(job.name(), pb::FAILED);
    EXPECT_EQ(pb::FailureClass_Name(failed.failure().failure_class()), failure_class);
    return failed.epoch() - 1;
  }
};

// Only these wait for few moments: on a busy machine a rank that is well may be silent that long.
class FailuresByHanging : public Failures {
 protected:
  FailuresByHanging() : Failures("hang_timeout: 1s\nstart_timeout: 5s\n") {}
};

TEST_F(Failures, EveryClassHasItsOwnBudget) {
  for (const auto& [failure_class, attempts] : {std::pair{"CONFIG", 1},
                                                {"NAN_LOSS", 1},
                                                {"DEVICE_OOM", 1},
                                                {"DATA", 2},
                                                {"USER_CODE", 2},
                                                {"HOST_OOM", 2}}) {
    EXPECT_EQ(AttemptsUntilFailed(failure_class), attempts) << failure_class;
  }
}

TEST_F(Failures, CheckpointTroubleIsRetriedWithPauses) { EXPECT_EQ(AttemptsUntilFailed("CHECKPOINT_IO"), 6); }

TEST_F(FailuresByHanging, HangingGangIsKilledAndRestartedOnce) {
  const pb::Job job =
      Submit({.name = "j",
              .labels = "  fake_steps: \"60\"\n  fake_step_ms: \"3\"\n  fake_hang_at: \"30\"\n"
                        "  fake_hang_epochs: \"2\"\n",
              .every_steps = 10,
              .ranks = 2});
  const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(done.epoch(), 3);
  bool told = false;
  for (const pb::Event& event : cluster_.Events("j")) {
    told = told || event.message().find("hangs: no progress for") != std::string::npos;
  }
  EXPECT_TRUE(told);
  EXPECT_EQ(cluster_.Metrics("j").size(), 60u);
}

TEST_F(FailuresByHanging, JobThatAlwaysHangsFailsAfterThreeMore) {
  const pb::Job job = Submit({.name = "j", .labels = "  fake_hang_at: \"5\"\n"});
  const pb::Job failed = cluster_.WaitForState(job.name(), pb::FAILED);
  EXPECT_EQ(failed.failure().failure_class(), pb::HANG);
  EXPECT_EQ(failed.epoch(), 1 + 4);
}

TEST_F(FailuresByHanging, RankThatHangsIsNoticedWithoutACoordinator) {
  const pb::Job job =
      Submit({.name = "j",
              .labels = "  fake_steps: \"60\"\n  fake_step_ms: \"10\"\n  fake_hang_at: \"40\"\n"
                        "  fake_hang_epochs: \"2\"\n"});
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 5; });
  cluster_.KillCoordinator();
  EXPECT_TRUE(Eventually([&] { return cluster_.RankPids().empty(); }));
  cluster_.StartCoordinator();
  EXPECT_EQ(cluster_.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 3);
}

TEST_F(FailuresByHanging, ShortStopOfARankIsNoHang) {
  const pb::Job job = Submit({.name = "j", .labels = "  fake_steps: \"100\"\n  fake_step_ms: \"5\"\n"});
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 5; });
  for (const pid_t rank : cluster_.RankPids()) cluster_.Signal(rank, SIGSTOP);
  const std::vector<pid_t> ranks = cluster_.RankPids();
  std::this_thread::sleep_for(milliseconds(150));
  for (const pid_t rank : ranks) cluster_.Signal(rank, SIGCONT);
  EXPECT_EQ(cluster_.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
}

// F30: rank 0 dies while it writes a checkpoint, when it is whole, and when it has told of it.
TEST_F(Failures, RankDiesAtEveryPointOfACheckpoint) {
  for (const std::string point : {"writing", "written", "recorded"}) {
    const pb::Job job = Submit({.name = point,
                                .labels = "  fake_steps: \"30\"\n  fake_crash_epochs: \"3\"\n"
                                          "  fake_die_in_checkpoint: \"" +
                                          point + "\"\n",
                                .every_steps = 10,
                                .keep_last = 1,
                                .ranks = 2});
    const pb::Job done = cluster_.WaitForState(job.name(), pb::SUCCEEDED);
    EXPECT_EQ(done.epoch(), 4) << point;
    EXPECT_EQ(cluster_.Metrics(point).size(), 30u) << point;
  }
}

// F30: coordinator and agent die at random moments while checkpoints are committed and old ones deleted.
TEST_F(Failures, DaemonsDieWhileCheckpointsComeAndGo) {
  const unsigned seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  const pb::Job job = Submit({.name = "j",
                              .labels = "  fake_steps: \"400\"\n  fake_step_ms: \"4\"\n",
                              .every_steps = 2,
                              .keep_last = 1});
  for (int round = 0; round < 4; ++round) {
    const int64_t step = 60 * round + 10;
    cluster_.WaitFor(job.name(), [&](const pb::Job& j) { return j.progress().step() >= step; });
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 30'000));
    if (round % 2 == 0) {
      cluster_.KillCoordinator();
      cluster_.StartCoordinator();
    } else {
      cluster_.Signal(cluster_.AgentPid(), SIGKILL);
    }
  }
  EXPECT_EQ(cluster_.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
  EXPECT_EQ(cluster_.Metrics("j").size(), 400u);
}

// F36: cancel and pause meet starts, ends and restarts; cancel is final, and a paused job goes on where it
// was.
TEST_F(Failures, CancelAndPauseRaceWithEverything) {
  const unsigned seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  std::vector<pb::Job> jobs;
  for (int i = 0; i < 8; ++i) {
    jobs.push_back(Submit({.name = "j" + std::to_string(i),
                           .labels = "  fake_steps: \"40\"\n  fake_step_ms: \"2\"\n  fake_crash_at: \"15\"\n"
                                     "  fake_crash_epochs: \"2\"\n",
                           .every_steps = 10}));
    std::this_thread::sleep_for(milliseconds(random() % 60));
    if (i % 2 == 0) {
      ASSERT_TRUE(cluster_.Cancel(jobs.back().name()).ok());
      continue;
    }
    pb::PauseJobRequest pause;
    pause.set_name(jobs.back().name());
    pb::Job reply;
    const grpc::Status paused = cluster_.jobs().PauseJob(Context().get(), pause, &reply);
    EXPECT_TRUE(paused.ok() || reply.state() == pb::JOB_STATE_UNSPECIFIED);
  }
  for (size_t i = 0; i < jobs.size(); ++i) {
    const pb::Job rest = cluster_.WaitFor(jobs[i].name(), [](const pb::Job& j) {
      return j.state() == pb::PAUSED || j.state() >= pb::SUCCEEDED;
    });
    if (i % 2 == 0) {
      EXPECT_TRUE(rest.state() == pb::CANCELLED || rest.state() == pb::SUCCEEDED) << rest.ShortDebugString();
      continue;
    }
    pb::ResumeJobRequest resume;
    resume.set_name(jobs[i].name());
    pb::Job reply;
    if (rest.state() == pb::PAUSED) {
      EXPECT_TRUE(cluster_.jobs().ResumeJob(Context().get(), resume, &reply).ok());
    }
    cluster_.WaitForState(jobs[i].name(), pb::SUCCEEDED);
    EXPECT_EQ(cluster_.Metrics("j" + std::to_string(i)).size(), 40u);
  }
}

}  // namespace
}  // namespace ft::testing
