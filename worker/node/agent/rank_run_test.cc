#include "worker/node/agent/rank_run.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>

#include "core/records/record_file.h"
#include "tests/support/temp_dir.h"

namespace ft::agent {
namespace {

// What has arrived at the rank's end of its control socket.
std::string Heard(const UniqueFd& end) {
  char buffer[256];
  const ssize_t got = ::recv(end.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
  return got > 0 ? std::string(buffer, static_cast<size_t>(got)) : std::string();
}

class OrdinaryRankRun : public ::testing::Test {
 protected:
  OrdinaryRankRun() {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    ours_ = UniqueFd(ends[0]);
    ranks_ = UniqueFd(ends[1]);
  }
  void Start() {
    process::RankProcess process;
    process.pid = 1234;
    run_->OnProcess(process, std::move(ours_));
  }
  ft::testing::TempDir dir_;
  RankRunDeps deps_;
  std::shared_ptr<RankRun> run_ = std::make_shared<RankRun>(RankKey{.job_id = "j", .epoch = 1, .rank = 0},
                                                            wpb::TRAIN, dir_.path(), deps_);
  UniqueFd ours_, ranks_;
};

TEST_F(OrdinaryRankRun, ACheckpointAskedForBeforeTheRankRunsIsTakenOnce) {
  run_->TakeCheckpoint();
  EXPECT_EQ(Heard(ranks_), "");
  Start();
  EXPECT_EQ(Heard(ranks_), "checkpoint\n");
  EXPECT_EQ(Heard(ranks_), "");
  run_->TakeCheckpoint();
  EXPECT_EQ(Heard(ranks_), "checkpoint\n");
}

// A coordinator by whose answer the rank has always written one record more.
class BusyCoordinator : public wpb::WorkerService::Service {
 public:
  explicit BusyCoordinator(std::filesystem::path records) : records_(std::move(records)) {}

  grpc::Status ReportRank(grpc::ServerContext*, const wpb::ReportRankRequest*,
                          wpb::ReportRankResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status PushRecords(grpc::ServerContext*, const wpb::PushRecordsRequest* request,
                           wpb::PushRecordsResponse* response) override {
    EXPECT_TRUE(
        records::RecordWriter::Open(records_)->Write(records::Beat{.count = 1, .phase = "train"}).ok());
    response->set_acked_sequence(static_cast<int64_t>(request->records().rbegin()->sequence()));
    ++pushes;
    return grpc::Status::OK;
  }
  grpc::Status CommitCheckpoint(grpc::ServerContext*, const wpb::CommitCheckpointRequest* request,
                                wpb::CommitCheckpointResponse*) override {
    committed = request->checkpoint().path() == "e1-s10";
    return grpc::Status::OK;
  }
  grpc::Status PushLogs(grpc::ServerContext*, const wpb::PushLogsRequest* request,
                        wpb::PushLogsResponse* response) override {
    response->set_acked_offset(request->offset() + static_cast<int64_t>(request->data().size()));
    (request->stream() == "stdout" ? out : err) = true;
    return grpc::Status::OK;
  }

  std::atomic<int> pushes = 0;
  std::atomic<bool> committed = false, out = false, err = false;

 private:
  const std::filesystem::path records_;
};

TEST(RankRunTurns, RecordsThatComeAsFastAsTheyAreTakenKeepNothingWaiting) {
  ft::testing::TempDir dir;
  const std::filesystem::path rank = dir / "run/attempts/1/rank0";
  std::filesystem::create_directories(rank);
  std::filesystem::create_directories(dir / "checkpoints/e1-s10");
  ASSERT_TRUE(records::RecordWriter::Open(rank / "records.ftr")
                  ->Write(records::Checkpoint{.step = 10, .path = "e1-s10"})
                  .ok());
  for (const char* name : {"stdout.log", "stderr.log"})
    ASSERT_TRUE(WriteFileDurably(rank / name, "a line\n").ok());
  BusyCoordinator coordinator(rank / "records.ftr");
  const std::string address = "unix:" + (dir / "socket").string();
  const auto server = grpc::ServerBuilder()
                          .AddListeningPort(address, grpc::InsecureServerCredentials())
                          .RegisterService(&coordinator)
                          .BuildAndStart();
  boost::asio::io_context context;
  Client client(context, grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  RankRunDeps deps;
  deps.client = &client;
  deps.session = [] { return std::string("session"); };
  deps.signal = [](const RankKey&, int) {};
  deps.observe = [](const RankKey&, const wpb::RankRecord&) {};
  deps.checkpoint_folder = [&](const RankKey&) { return dir / "checkpoints"; };
  deps.log_bytes = 1 << 20;
  const auto run =
      std::make_shared<RankRun>(RankKey{.job_id = "j", .epoch = 1, .rank = 0}, wpb::TRAIN, dir / "run", deps);
  process::RankProcess process;
  process.pid = 1234;
  run->OnProcess(process, UniqueFd());
  run->Adopt();
  run->Tick();
  const auto all = [&] { return coordinator.committed && coordinator.out && coordinator.err; };
  for (int seconds = 0; seconds < 20 && !all() && coordinator.pushes < 50; ++seconds) {
    const auto work = boost::asio::make_work_guard(context);
    context.restart();
    while (!all() && coordinator.pushes < 50 && context.run_one_for(std::chrono::seconds(1)) > 0) continue;
  }
  EXPECT_TRUE(coordinator.committed);
  EXPECT_TRUE(coordinator.out);
  EXPECT_TRUE(coordinator.err);
  EXPECT_LT(coordinator.pushes, 5);
  server->Shutdown(std::chrono::system_clock::now());
  // What was cut off is answered while the run still is there.
  run->Abandon();
  context.restart();
  context.run_for(std::chrono::milliseconds(200));
}

}  // namespace
}  // namespace ft::agent
