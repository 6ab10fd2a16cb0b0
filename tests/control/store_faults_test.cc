// The coordinator's disk fails, or the coordinator dies around a commit (F1, F2, F22, F24, F25):
// faulty_finetuned runs on a VFS that does what the test asks.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <thread>

#include "core/base/file.h"
#include "core/rpc/errors.h"
#include "tests/control/cluster.h"
#include "tests/control/faulty/fault_plan.h"

namespace ft::testing {
namespace {

using faulty::Fault;
using std::chrono::milliseconds;

// A cluster on the faulty disk, and the test's end of the plan.
class FaultyCluster {
 public:
  explicit FaultyCluster(std::vector<std::string> more = {}) : cluster_(OptionsWith(std::move(more))) {
    const int fd = ::open(plan_path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    EXPECT_EQ(::ftruncate(fd, sizeof(faulty::FaultPlan)), 0);
    void* at = ::mmap(nullptr, sizeof(faulty::FaultPlan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ::close(fd);
    EXPECT_NE(at, MAP_FAILED);
    plan_ = static_cast<faulty::FaultPlan*>(at);
    cluster_.StartCoordinator();
    cluster_.StartWorker();
  }
  ~FaultyCluster() { ::munmap(plan_, sizeof(faulty::FaultPlan)); }

  void Ask(Fault fault, uint32_t at = 0) {
    plan_->transactions = 0;
    plan_->at = at;
    plan_->fault = static_cast<uint32_t>(fault);
  }
  // Starts it again, on a disk that does not fail, if it has died.
  bool Revive() {
    if (!cluster_.CoordinatorEnded()) return false;
    cluster_.ReapCoordinator();
    Ask(Fault::kNone);
    EXPECT_TRUE(cluster_.StartCoordinator());
    return true;
  }
  // As a client does it: the same request until it is answered.
  pb::Job CreateUntilAnswered(const CreateOptions& options) {
    pb::Job job;
    EXPECT_TRUE(Eventually([&] {
      const grpc::Status status = cluster_.Create(options, &job, milliseconds(300));
      Revive();
      return status.ok();
    }));
    return job;
  }
  pb::Job WaitUntilDone(const std::string& name) {
    pb::Job job;
    EXPECT_TRUE(Eventually([&] {
      const bool seen = cluster_.Get(name, &job, milliseconds(200)).ok();
      return !Revive() && seen && job.state() >= pb::SUCCEEDED;
    })) << job.ShortDebugString();
    return job;
  }
  Cluster& operator*() { return cluster_; }
  Cluster* operator->() { return &cluster_; }

 private:
  ClusterOptions OptionsWith(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"--plan", plan_path_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return {.coordinator_binary = FT_FAULTY_FINETUNED, .coordinator_arguments = arguments};
  }
  TempDir plan_dir_;
  const std::string plan_path_ = (plan_dir_ / "plan").string();
  Cluster cluster_;
  faulty::FaultPlan* plan_ = nullptr;
};

// F1: SIGKILL at each of a job's transactions, at one point of it. A job has about a dozen.
class CoordinatorKilledAt : public ::testing::TestWithParam<Fault> {};

TEST_P(CoordinatorKilledAt, EveryTransactionOfAJob) {
  FaultyCluster cluster;
  int deaths = 0;
  for (uint32_t transaction = 1; transaction <= 14; ++transaction) {
    cluster.Ask(GetParam(), transaction);
    const std::string name = "j" + std::to_string(transaction);
    const pb::Job job =
        cluster.CreateUntilAnswered({.name = name,
                                     .labels = "  fake_steps: \"12\"\n  fake_step_ms: \"4\"\n",
                                     .every_steps = 4,
                                     .request_id = name});
    const pb::Job done = cluster.WaitUntilDone(job.name());
    EXPECT_EQ(done.state(), pb::SUCCEEDED);
    EXPECT_EQ(done.epoch(), 2) << "transaction " << transaction;  // Nothing that ran was restarted.
    EXPECT_EQ(cluster->Metrics(name).size(), 12u) << "transaction " << transaction;
    deaths += cluster->CoordinatorStarts() > 1 + deaths ? 1 : 0;
  }
  EXPECT_GE(deaths, 8);
  cluster->Check();
}

std::string NameOf(const ::testing::TestParamInfo<Fault>& info) {
  switch (info.param) {
    case Fault::kKillBefore: return "BeforeIt";
    case Fault::kKillWithin: return "WithinIt";
    case Fault::kKillCommitted: return "Committed";
    default: return "Replied";
  }
}

INSTANTIATE_TEST_SUITE_P(F1, CoordinatorKilledAt,
                         ::testing::Values(Fault::kKillBefore, Fault::kKillWithin, Fault::kKillCommitted,
                                           Fault::kKillReplied),
                         NameOf);

// F2: the commit of CreateJob itself, again and again; a request has one job.
TEST(StoreFaults, CreateThatMeetsADeathIsDoneOnce) {
  FaultyCluster cluster;
  for (int round = 0; round < 8; ++round) {
    cluster.Ask(static_cast<Fault>(static_cast<int>(Fault::kKillBefore) + round % 4), 1);
    const std::string name = "j" + std::to_string(round);
    const pb::Job job = cluster.CreateUntilAnswered({.name = name, .request_id = name});
    EXPECT_EQ(cluster.CreateUntilAnswered({.name = name, .request_id = name}).name(), job.name());
  }
  pb::ListJobsResponse list;
  // The last death may come after its answer.
  ASSERT_TRUE(Eventually([&] {
    cluster.Revive();
    return cluster->jobs().ListJobs(Context().get(), {}, &list).ok();
  }));
  EXPECT_EQ(list.jobs_size(), 8);
  cluster->Check();
}

// F22: the disk is full. Changes are refused with the reason, reads and leases go on, what runs lives, and it
// recovers.
TEST(StoreFaults, FullDiskRefusesChangesAndKillsNothing) {
  FaultyCluster cluster;
  const pb::Job job =
      cluster.CreateUntilAnswered({.name = "j", .labels = "  fake_steps: \"800\"\n  fake_step_ms: \"4\"\n"});
  cluster->WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 5; });
  const std::vector<pid_t> ranks = cluster->RankPids();
  cluster.Ask(Fault::kFull);
  pb::Job refused;
  const grpc::Status status = cluster->Create({.name = "k", .request_id = "k"}, &refused);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << status.error_message();
  EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(status)), pb::STORE_FULL);
  std::this_thread::sleep_for(milliseconds(1300));  // Two leases.
  pb::Job seen;
  EXPECT_TRUE(cluster->Get(job.name(), &seen).ok());
  EXPECT_EQ(seen.state(), pb::RUNNING);
  EXPECT_EQ(cluster->RankPids(), ranks);
  EXPECT_EQ(cluster->Nodes().at(0).state(), pb::READY);
  EXPECT_FALSE(cluster->CoordinatorEnded());
  cluster.Ask(Fault::kNone);
  EXPECT_TRUE(cluster->Create({.name = "k", .request_id = "k"}, &refused).ok());
  EXPECT_EQ(cluster->WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
  cluster->WaitForState("k", pb::SUCCEEDED);
  EXPECT_EQ(cluster->Metrics("j").size(), 800u);
  cluster->Check();
}

// F24: an fsync fails once. Nothing is acknowledged, the process ends at once, and nothing is lost.
TEST(StoreFaults, FailedSyncEndsTheProcessAndAcknowledgesNothing) {
  FaultyCluster cluster;
  pb::Job before;
  ASSERT_TRUE(cluster->Create({.name = "before", .request_id = "before"}, &before).ok());
  cluster->WaitForState("before", pb::SUCCEEDED);
  cluster.Ask(Fault::kSyncFailsOnce);
  pb::Job job;
  EXPECT_FALSE(cluster->Create({.name = "j", .request_id = "j"}, &job, milliseconds(1000)).ok());
  ASSERT_TRUE(Eventually([&] { return cluster->CoordinatorEnded(); }));
  EXPECT_EQ(cluster->ReapCoordinator(), 128 + SIGABRT);
  cluster.Ask(Fault::kNone);
  ASSERT_TRUE(cluster->StartCoordinator());
  job = cluster.CreateUntilAnswered({.name = "j", .request_id = "j"});
  cluster->WaitForState("j", pb::SUCCEEDED);
  cluster->WaitForState("before", pb::SUCCEEDED);
  cluster->Check();
}

// F27: a slow disk makes answers late, and no node suspect.
TEST(StoreFaults, SlowDiskExpiresNoLease) {
  FaultyCluster cluster;
  cluster->WaitForNode();
  cluster.Ask(Fault::kSlow);
  pb::Job job;
  ASSERT_TRUE(cluster->Create({.name = "j"}, &job).ok());
  std::this_thread::sleep_for(milliseconds(2000));
  EXPECT_EQ(cluster->Nodes().at(0).state(), pb::READY);
  cluster.Ask(Fault::kNone);
  cluster->WaitForState("j", pb::SUCCEEDED);
  for (const pb::Event& event : cluster->Events("")) EXPECT_NE(event.type(), "NODE_SUSPECT");
  cluster->Check();
}

// F25: power is lost. What was synced is there; of what was not, any part may be, also garbage.
TEST(StoreFaults, LossOfPowerLosesNothingAcknowledged) {
  const unsigned seed = std::random_device()();
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  FaultyCluster cluster({"--copies"});
  const std::filesystem::path folder = cluster->dir() / "coordinator";
  for (int round = 0; round < 6; ++round) {
    const std::string name = "j" + std::to_string(round);
    cluster.CreateUntilAnswered({.name = name, .labels = "  fake_steps: \"30\"\n", .request_id = name});
    std::this_thread::sleep_for(milliseconds(random() % 120));
    cluster->KillCoordinator();
    for (const char* file : {"coordinator.db", "coordinator.db-wal"}) {
      const std::filesystem::path path = folder / file, synced = folder / (std::string(file) + ".synced");
      std::error_code ignored;
      if (std::filesystem::exists(synced)) {
        std::filesystem::copy_file(synced, path, std::filesystem::copy_options::overwrite_existing, ignored);
      }
    }
    // The end of the log: as synced, zeroes, or the beginning of a frame that was not written whole.
    std::ofstream log(folder / "coordinator.db-wal", std::ios::binary | std::ios::app);
    if (round % 3 == 1) log << std::string(4096 + 24, '\0');
    if (round % 3 == 2) log << std::string(1 + random() % 4000, static_cast<char>(random()));
    log.close();
    ASSERT_TRUE(cluster->StartCoordinator());
  }
  for (int round = 0; round < 6; ++round) cluster->WaitForState("j" + std::to_string(round), pb::SUCCEEDED);
  cluster->Check();
}

}  // namespace
}  // namespace ft::testing
