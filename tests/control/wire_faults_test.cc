// Messages are lost, doubled, late, or of the past (F18, F19, F20).
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "core/base/file.h"
#include "core/rpc/errors.h"
#include "tests/control/cluster.h"
#include "tests/control/proxy.h"

namespace ft::testing {
namespace {

using std::chrono::milliseconds;

unsigned Seed() {
  const unsigned seed = std::random_device()();
  std::printf("seed %u\n", seed);
  return seed;
}

// F18, the user's calls: half of the answers are lost, and the client asks again with the same id.
TEST(WireFaults, LostAnswersOfUsersCallsChangeNothingTwice) {
  std::mt19937 random(Seed());
  Cluster cluster;
  cluster.StartCoordinator();
  cluster.StartWorker();
  // Sends until an answer is not lost.
  const auto until_heard = [&](const std::function<grpc::Status()>& call) {
    grpc::Status status;
    do {
      status = call();
      EXPECT_TRUE(status.ok()) << status.error_message();
    } while (random() % 2 == 0);
  };
  for (int i = 0; i < 6; ++i) {
    const std::string id = "r" + std::to_string(i);
    pb::Job job;
    until_heard([&] {
      return cluster.Create(
          {.name = "j" + std::to_string(i), .labels = "  fake_steps: \"2000\"\n", .request_id = id}, &job);
    });
    pb::PauseJobRequest pause;
    pause.set_name(job.name());
    pause.set_request_id("p" + id);
    pb::Job reply;
    until_heard([&] { return cluster.jobs().PauseJob(Context().get(), pause, &reply); });
    cluster.WaitForState(job.name(), pb::PAUSED);
    pb::ResumeJobRequest resume;
    resume.set_name(job.name());
    resume.set_request_id("s" + id);
    until_heard([&] { return cluster.jobs().ResumeJob(Context().get(), resume, &reply); });
    // The pause that was answered before is not carried out again, though it is heard once more.
    EXPECT_TRUE(cluster.jobs().PauseJob(Context().get(), pause, &reply).ok());
    EXPECT_NE(reply.state(), pb::PAUSED);
    until_heard([&] { return cluster.Cancel(job.name()); });
    cluster.WaitForState(job.name(), pb::CANCELLED);
    pb::DeleteJobRequest remove;
    remove.set_name(job.name());
    remove.set_request_id("d" + id);
    pb::DeleteJobResponse removed;
    if (i % 2 == 0) until_heard([&] { return cluster.jobs().DeleteJob(Context().get(), remove, &removed); });
  }
  pb::ListJobsResponse list;
  ASSERT_TRUE(cluster.jobs().ListJobs(Context().get(), {}, &list).ok());
  EXPECT_EQ(list.jobs_size(), 3);
  cluster.Check();
}

// F18, the worker's calls: connections break every few milliseconds, so any answer may be lost.
TEST(WireFaults, LostAnswersOfWorkersCallsLoseAndDoubleNothing) {
  std::mt19937 random(Seed());
  Cluster cluster;
  cluster.StartCoordinator();
  Proxy proxy((cluster.dir() / "proxy.sock").string(), cluster.worker_socket());
  cluster.StartWorker(kNode, proxy.path());
  pb::Job job;
  ASSERT_TRUE(
      cluster
          .Create(
              {.name = "j", .labels = "  fake_steps: \"300\"\n  fake_step_ms: \"5\"\n", .every_steps = 10},
              &job)
          .ok());
  cluster.WaitForState(job.name(), pb::RUNNING);
  std::atomic<bool> stop = false;
  std::thread breaker([&] {
    while (!stop) {
      std::this_thread::sleep_for(milliseconds(30 + random() % 120));
      proxy.Reset();
    }
  });
  std::this_thread::sleep_for(milliseconds(2500));
  stop = true;
  breaker.join();
  EXPECT_EQ(cluster.WaitForState(job.name(), pb::SUCCEEDED).epoch(), 2);
  EXPECT_EQ(cluster.Metrics("j").size(), 300u);
  cluster.Check();
}

// An agent made of calls: no process, no rank, any order.
class CallingAgent {
 public:
  explicit CallingAgent(Cluster& cluster) : stub_(wpb::WorkerService::NewStub(cluster.worker_channel())) {
    wpb::RegisterWorkerRequest request;
    request.set_node_id("node-x");
    request.set_incarnation("x");
    finetune::v1::Device& cores = *request.add_devices();
    cores.set_kind("cpu");
    cores.set_cores(8);
    wpb::RegisterWorkerResponse response;
    EXPECT_TRUE(stub_->RegisterWorker(Context().get(), request, &response).ok());
    session_ = response.session_id();
  }
  wpb::RankRef Ref(const pb::Job& job, int64_t epoch, int rank = 0) const {
    wpb::RankRef ref;
    ref.set_job_id(IdOf(job));
    ref.set_epoch(epoch);
    ref.set_rank(rank);
    return ref;
  }
  grpc::Status Report(const wpb::RankRef& ref, wpb::RankState rank_state) {
    wpb::ReportRankRequest request;
    request.set_session_id(session_);
    *request.mutable_ref() = ref;
    request.set_state(rank_state);
    wpb::ReportRankResponse response;
    return stub_->ReportRank(Context().get(), request, &response);
  }
  grpc::Status Push(const wpb::RankRef& ref, const std::vector<wpb::RankRecord>& records) {
    wpb::PushRecordsRequest request;
    request.set_session_id(session_);
    *request.mutable_ref() = ref;
    for (const wpb::RankRecord& record : records) *request.add_records() = record;
    wpb::PushRecordsResponse response;
    const grpc::Status status = stub_->PushRecords(Context().get(), request, &response);
    acked_ = status.ok() ? response.acked_sequence() : acked_;
    return status;
  }
  grpc::Status PushLog(const wpb::RankRef& ref, int64_t offset, const std::string& data) {
    wpb::PushLogsRequest request;
    request.set_session_id(session_);
    *request.mutable_ref() = ref;
    request.set_stream("stdout");
    request.set_offset(offset);
    request.set_data(data);
    wpb::PushLogsResponse response;
    return stub_->PushLogs(Context().get(), request, &response);
  }
  grpc::Status Commit(const wpb::RankRef& ref, int64_t step) {
    wpb::CommitCheckpointRequest request;
    request.set_session_id(session_);
    *request.mutable_ref() = ref;
    request.mutable_checkpoint()->set_step(step);
    request.mutable_checkpoint()->set_path("checkpoints/e" + std::to_string(ref.epoch()) + "-s" +
                                           std::to_string(step));
    wpb::CommitCheckpointResponse response;
    return stub_->CommitCheckpoint(Context().get(), request, &response);
  }
  grpc::Status PushFile(const wpb::RankRef& ref) {
    wpb::PushArtifactResponse response;
    const auto context = Context();
    const auto writer = stub_->PushArtifact(context.get(), &response);
    wpb::ArtifactChunk chunk;
    chunk.set_session_id(session_);
    *chunk.mutable_ref() = ref;
    chunk.set_path("adapter_config.json");
    chunk.set_sha256(std::string(64, '0'));
    chunk.set_data("{}");
    chunk.set_size(2);
    writer->Write(chunk);
    writer->WritesDone();
    return writer->Finish();
  }
  void Prepare(const pb::Job& job) {
    const wpb::RankRef ref = Ref(job, 1);
    EXPECT_TRUE(Report(ref, wpb::RANK_RUNNING).ok());
    wpb::RankRecord prepared, result;
    prepared.set_sequence(1);
    prepared.mutable_prepared()->set_cache_path("/cache");
    result.set_sequence(2);
    result.mutable_result()->set_state(wpb::ResultRecord::SUCCEEDED);
    EXPECT_TRUE(Push(ref, {prepared, result}).ok());
    EXPECT_TRUE(Report(ref, wpb::RANK_EXITED).ok());
  }
  int64_t acked() const { return acked_; }

 private:
  std::unique_ptr<wpb::WorkerService::Stub> stub_;
  std::string session_;
  int64_t acked_ = 0;
};

wpb::RankRecord StepRecord(uint64_t sequence) {
  wpb::RankRecord record;
  record.set_sequence(sequence);
  record.mutable_step()->set_step(static_cast<int64_t>(sequence));
  record.mutable_step()->set_loss(1.0 / static_cast<double>(sequence));
  return record;
}

// F19: every message comes twice, old ones come again out of order.
TEST(WireFaults, DoubledAndLateMessagesCountOnce) {
  std::mt19937 random(Seed());
  Cluster cluster({.lease = "60s"});
  cluster.StartCoordinator();
  CallingAgent agent(cluster);
  pb::Job job;
  ASSERT_TRUE(cluster.Create({.name = "j", .keep_last = 3}, &job).ok());
  cluster.WaitFor(job.name(), [](const pb::Job& j) { return j.epoch() == 1; });
  agent.Prepare(job);
  cluster.WaitFor(job.name(), [](const pb::Job& j) { return j.epoch() == 2; });
  const wpb::RankRef ref = agent.Ref(job, 2);
  for (int copy = 0; copy < 2; ++copy) EXPECT_TRUE(agent.Report(ref, wpb::RANK_RUNNING).ok());
  constexpr uint64_t kSteps = 60;
  std::string log;
  while (agent.acked() < static_cast<int64_t>(kSteps)) {
    // Three records from anywhere up to two beyond what is acknowledged.
    const auto first = static_cast<uint64_t>(1 + random() % static_cast<unsigned>(agent.acked() + 2));
    const std::vector<wpb::RankRecord> batch = {StepRecord(first), StepRecord(first + 1),
                                                StepRecord(first + 2)};
    for (int copy = 0; copy < 2; ++copy) ASSERT_TRUE(agent.Push(ref, batch).ok());
    const std::string line = "line " + std::to_string(first) + "\n";
    for (int copy = 0; copy < 2; ++copy)
      ASSERT_TRUE(agent.PushLog(ref, static_cast<int64_t>(log.size()), line).ok());
    log += line;
    const int64_t step = agent.acked() / 10 * 10;
    for (int copy = 0; copy < 2 && step > 0; ++copy) EXPECT_TRUE(agent.Commit(ref, step).ok());
    if (step > 10) {
      EXPECT_TRUE(agent.Commit(ref, step - 10).ok());
    }
  }
  std::vector<pb::MetricPoint> points = cluster.Metrics("j");
  ASSERT_GE(points.size(), kSteps);
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].record().step().step(), static_cast<int64_t>(i + 1));
    EXPECT_EQ(points[i].record().step().loss(), 1.0 / static_cast<double>(i + 1));
  }
  pb::Job seen;
  ASSERT_TRUE(cluster.Get("j", &seen).ok());
  EXPECT_EQ(seen.progress().checkpoint_step(), 60);
  auto kept = ReadFile(cluster.dir() / "coordinator/jobs" / IdOf(job) / "e2/rank0/stdout", 1 << 20);
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(*kept, log);
}

// F20: an agent of a stale epoch writes status, metrics, logs, checkpoints and files: each is refused as
// such.
TEST(WireFaults, EveryWriteOfAStaleEpochIsRefused) {
  Cluster cluster({.lease = "60s"});
  cluster.StartCoordinator();
  CallingAgent agent(cluster);
  pb::Job job;
  ASSERT_TRUE(cluster.Create({.name = "j"}, &job).ok());
  cluster.WaitFor(job.name(), [](const pb::Job& j) { return j.epoch() == 1; });
  agent.Prepare(job);
  cluster.WaitFor(job.name(), [](const pb::Job& j) { return j.epoch() == 2; });
  for (const int64_t epoch : {1, 3}) {
    const wpb::RankRef stale = agent.Ref(job, epoch);
    for (const grpc::Status& status :
         {agent.Report(stale, wpb::RANK_EXITED), agent.Push(stale, {StepRecord(1)}),
          agent.PushLog(stale, 0, "x"), agent.Commit(stale, 7), agent.PushFile(stale)}) {
      EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << status.error_message();
      EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(status)), pb::STALE_EPOCH) << status.error_message();
    }
  }
  pb::Job seen;
  ASSERT_TRUE(cluster.Get("j", &seen).ok());
  EXPECT_EQ(seen.progress().checkpoint_step(), 0);
  EXPECT_TRUE(cluster.Metrics("j").empty());
  cluster.Check();
}

}  // namespace
}  // namespace ft::testing
