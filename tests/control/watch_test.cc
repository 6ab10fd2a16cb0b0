// Watches: ordered, unique, resumable across a restart of the coordinator.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

#include "core/rpc/errors.h"
#include "tests/control/started_cluster.h"

namespace ft::testing {
namespace {

// Reads until `stop` says so; returns what was read. The stream is cancelled then.
template <typename Reader, typename Response>
std::vector<Response> ReadUntil(grpc::ClientContext& context, Reader& reader,
                                const std::function<bool(const Response&)>& stop) {
  std::vector<Response> responses;
  for (Response response; reader.Read(&response);) {
    responses.push_back(response);
    if (stop(response)) break;
  }
  context.TryCancel();
  reader.Finish();
  return responses;
}

class Watch : public StartedCluster {
 protected:
  void SetUp() override { cluster_.StartCoordinator(); }
  std::vector<pb::WatchJobsResponse> Jobs(const std::string& token,
                                          const std::function<bool(const pb::WatchJobsResponse&)>& stop) {
    pb::WatchJobsRequest request;
    request.set_resume_token(token);
    auto context = Context();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    auto reader = cluster_.jobs().WatchJobs(context.get(), request);
    return ReadUntil<decltype(*reader), pb::WatchJobsResponse>(*context, *reader, stop);
  }
};

TEST_F(Watch, SnapshotThenEveryChangeInOrder) {
  pb::Job early;
  ASSERT_TRUE(cluster_.Create({.name = "early"}, &early).ok());
  cluster_.StartWorker();
  const auto responses =
      Jobs("", [](const pb::WatchJobsResponse& r) { return r.job().state() == pb::SUCCEEDED; });
  bool synced = false;
  int64_t revision = 0;
  std::vector<pb::JobState> states;
  for (const auto& response : responses) {
    synced = synced || response.synced();
    if (!response.has_job()) continue;
    EXPECT_GT(response.revision(), revision);
    revision = response.revision();
    if (states.empty() || states.back() != response.job().state()) states.push_back(response.job().state());
  }
  EXPECT_TRUE(synced);
  EXPECT_EQ(states.front(), pb::PREPARING);
  EXPECT_EQ(states.back(), pb::SUCCEEDED);
}

TEST_F(Watch, GoesOnAfterARestartOfTheCoordinator) {
  pb::Job kept, deleted, later;
  ASSERT_TRUE(cluster_.Create({.name = "kept"}, &kept).ok());
  ASSERT_TRUE(cluster_.Create({.name = "deleted"}, &deleted).ok());
  const auto before = Jobs("", [](const pb::WatchJobsResponse& r) { return r.synced(); });
  ASSERT_EQ(before.size(), 3u);
  const std::string token = before.back().resume_token();

  pb::CancelJobRequest cancel;
  cancel.set_name(deleted.name());
  pb::Job reply;
  ASSERT_TRUE(cluster_.jobs().CancelJob(Context().get(), cancel, &reply).ok());
  pb::DeleteJobRequest remove;
  remove.set_name(deleted.name());
  pb::DeleteJobResponse removed;
  ASSERT_TRUE(cluster_.jobs().DeleteJob(Context().get(), remove, &removed).ok());
  cluster_.KillCoordinator();
  cluster_.StartCoordinator();
  ASSERT_TRUE(cluster_.Create({.name = "later"}, &later).ok());

  // `kept` may have changed too: why it waits is part of it.
  const auto after =
      Jobs(token, [](const pb::WatchJobsResponse& r) { return r.job().display_name() == "later"; });
  int deletions = 0;
  int64_t revision = 0;
  for (const auto& response : after) {
    EXPECT_NE(response.job().display_name(), "deleted");
    if (response.deleted() == deleted.name()) ++deletions;
    if (response.has_job() || !response.deleted().empty()) {
      EXPECT_GT(response.revision(), revision);
      revision = response.revision();
    }
  }
  EXPECT_EQ(deletions, 1);
}

TEST_F(Watch, ForeignAndDamagedTokensAreRefused) {
  pb::WatchJobsRequest request;
  request.set_resume_token("nonsense");
  auto context = Context();
  auto reader = cluster_.jobs().WatchJobs(context.get(), request);
  pb::WatchJobsResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(reader->Finish())), pb::RESUME_TOKEN_INVALID);
}

TEST_F(Watch, EventsAreALegalHistoryWithoutGapsAcrossARestart) {
  cluster_.StartWorker();
  pb::Job job;
  ASSERT_TRUE(
      cluster_.Create({.name = "j", .labels = "  fake_steps: \"300\"\n  fake_step_ms: \"3\"\n"}, &job).ok());
  auto stub = pb::EventService::NewStub(cluster_.channel());
  const auto read = [&](const std::string& token, const std::string& until) {
    pb::WatchEventsRequest request;
    request.set_subject(job.name());
    request.set_resume_token(token);
    auto context = Context();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    auto reader = stub->WatchEvents(context.get(), request);
    return ReadUntil<decltype(*reader), pb::WatchEventsResponse>(
        *context, *reader, [&](const pb::WatchEventsResponse& r) { return r.event().to_state() == until; });
  };
  auto all = read("", "RUNNING");
  cluster_.KillCoordinator();
  cluster_.StartCoordinator();
  const auto rest = read(all.back().resume_token(), "SUCCEEDED");
  all.insert(all.end(), rest.begin(), rest.end());
  int64_t revision = 0;
  std::string state = "JOB_STATE_UNSPECIFIED";
  for (const auto& response : all) {
    if (!response.has_event()) continue;
    EXPECT_GT(response.event().revision(), revision);
    revision = response.event().revision();
    if (response.event().type() != "JOB_STATE") continue;
    EXPECT_EQ(response.event().from_state(), state);
    state = response.event().to_state();
  }
  EXPECT_EQ(state, "SUCCEEDED");
  EXPECT_EQ(cluster_.Events(job.name()).size(),
            static_cast<size_t>(
                std::count_if(all.begin(), all.end(), [](const auto& r) { return r.has_event(); })));
}

TEST_F(Watch, SecondCoordinatorOnTheSameFolderEndsAtOnce) {
  pb::ListJobsResponse list;
  ASSERT_TRUE(cluster_.jobs().ListJobs(Context().get(), {}, &list).ok());
  const std::string command = std::string(FT_BIN_DIR "/finetuned --metrics 0 --data ") +
                              (cluster_.dir() / "coordinator").string() + " 2> " +
                              (cluster_.dir() / "second").string();
  const int status = std::system(command.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 2);
  ASSERT_TRUE(cluster_.jobs().ListJobs(Context().get(), {}, &list).ok());
}

}  // namespace
}  // namespace ft::testing
