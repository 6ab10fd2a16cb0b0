// Following and submitting against a coordinator made of canned answers, over a real Unix socket.
#include "client/follow/follow.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "client/transfer/submit_job.h"
#include "finetune/v1/jobs.grpc.pb.h"
#include "finetune/v1/metrics.grpc.pb.h"
#include "tests/support/temp_dir.h"

namespace ft::client {
namespace {

constexpr const char* kName = "namespaces/default/jobs/j1";

v1::Job JobAt(v1::JobState state, int64_t step) {
  v1::Job job;
  job.set_name(kName);
  job.set_display_name("qa");
  job.set_state(state);
  job.set_epoch(2);
  job.mutable_progress()->set_step(step);
  job.mutable_progress()->set_total_steps(3);
  return job;
}

class CannedJobs final : public v1::JobService::Service {
 public:
  grpc::Status CreateJob(grpc::ServerContext*, const v1::CreateJobRequest* request, v1::Job* job) override {
    const std::lock_guard lock(mutex_);
    created_.push_back(*request);
    if (lose_answers_) return {grpc::StatusCode::DEADLINE_EXCEEDED, "no answer"};
    *job = JobAt(v1::PREPARING, 0);
    return grpc::Status::OK;
  }

  // Each stream sends one state and breaks, as when the coordinator is restarted; the last one reports the end.
  grpc::Status WatchJobs(grpc::ServerContext*, const v1::WatchJobsRequest* request,
                         grpc::ServerWriter<v1::WatchJobsResponse>* writer) override {
    const std::lock_guard lock(mutex_);
    tokens_.push_back(request->resume_token());
    v1::WatchJobsResponse response;
    response.set_resume_token("after-" + std::to_string(tokens_.size()));
    *response.mutable_job() =
        JobAt(tokens_.size() < 3 ? v1::RUNNING : end_, static_cast<int64_t>(tokens_.size()));
    writer->Write(response);
    return {grpc::StatusCode::UNAVAILABLE, "going down"};
  }

  std::mutex mutex_;
  std::vector<v1::CreateJobRequest> created_;
  std::vector<std::string> tokens_;
  bool lose_answers_ = false;
  v1::JobState end_ = v1::SUCCEEDED;
};

class CannedMetrics final : public v1::MetricService::Service {
 public:
  grpc::Status StreamMetrics(grpc::ServerContext*, const v1::StreamMetricsRequest*,
                             grpc::ServerWriter<v1::MetricPoint>* writer) override {
    for (int64_t step = 1; step <= 3; ++step) {
      v1::MetricPoint point;
      point.set_epoch(2);
      point.mutable_record()->set_sequence(static_cast<uint64_t>(step));
      point.mutable_record()->mutable_step()->set_step(step);
      point.mutable_record()->mutable_step()->set_loss(4.0 - static_cast<double>(step));
      writer->Write(point);
    }
    return grpc::Status::OK;
  }
};

class FollowTest : public ::testing::Test {
 protected:
  FollowTest() {
    session_.data_dir = dir_.path();
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + session_.default_socket().string(), grpc::InsecureServerCredentials());
    builder.RegisterService(&jobs_);
    builder.RegisterService(&metrics_);
    server_ = builder.BuildAndStart();
  }
  ~FollowTest() override {
    session_.Disconnect();
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  }

  ft::testing::TempDir dir_;
  CannedJobs jobs_;
  CannedMetrics metrics_;
  std::unique_ptr<grpc::Server> server_;
  Session session_;
};

TEST_F(FollowTest, WatchGoesOnWhereItStoppedWhenTheCoordinatorRestarts) {
  const auto followed = Follow(session_, JobAt(v1::RUNNING, 0), {});
  ASSERT_TRUE(followed.ok()) << followed.status();
  EXPECT_EQ(followed->job.state(), v1::SUCCEEDED);
  EXPECT_EQ(followed->job.progress().step(), 3);
  EXPECT_FALSE(followed->interrupted);
  const std::lock_guard lock(jobs_.mutex_);
  ASSERT_GE(jobs_.tokens_.size(), 3u);
  EXPECT_EQ(jobs_.tokens_[0], "");
  EXPECT_EQ(jobs_.tokens_[1], "after-1");
  EXPECT_EQ(jobs_.tokens_[2], "after-2");
}

TEST_F(FollowTest, ExitStatusIsTheJobs) {
  Followed followed{.job = JobAt(v1::SUCCEEDED, 3)};
  EXPECT_EQ(Conclude(session_, followed), kExitOk);
  followed.job.set_state(v1::FAILED);
  EXPECT_EQ(Conclude(session_, followed), kExitFailed);
  followed.job.set_state(v1::CANCELLED);
  EXPECT_EQ(Conclude(session_, followed), kExitFailed);
  followed.job.set_state(v1::RUNNING);
  EXPECT_EQ(Conclude(session_, followed), kExitOk);
}

TEST_F(FollowTest, SubmittedJobsCarryARequestId) {
  const JobText text{
      .yaml = "model: upload://a/b\ndata: upload://c/d\n", .file_name = "job.yaml", .base = "/"};
  const auto job = SubmitJob(session_, text, {});
  ASSERT_TRUE(job.ok()) << job.status();
  ASSERT_EQ(jobs_.created_.size(), 1u);
  EXPECT_EQ(jobs_.created_[0].request_id().size(), 36u);
  EXPECT_EQ(jobs_.created_[0].job().config_yaml(), text.yaml);
}

TEST_F(FollowTest, LostAnswerTellsTheRequestIdToRepeatWith) {
  jobs_.lose_answers_ = true;
  const JobText text{
      .yaml = "model: upload://a/b\ndata: upload://c/d\n", .file_name = "job.yaml", .base = "/"};
  const Status status =
      SubmitJob(session_, text, {.request_id = "11111111-2222-4333-8444-555555555555"}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status));
  EXPECT_NE(Message(status).find("--request-id 11111111-2222-4333-8444-555555555555"), std::string_view::npos)
      << status;
}

TEST_F(FollowTest, JobFileIsCheckedBeforeAnythingIsSent) {
  const JobText text{.yaml = "model: upload://a/b\ndata: upload://c/d\ntrain: {epocs: 1}\n",
                     .file_name = "job.yaml",
                     .base = "/"};
  const Status status = SubmitJob(session_, text, {}).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("job.yaml:3"), std::string_view::npos) << status;
  EXPECT_TRUE(jobs_.created_.empty());
}

TEST(RequestIdTest, IsAFreshVersionFourUuid) {
  const std::string id = NewRequestId();
  ASSERT_EQ(id.size(), 36u);
  EXPECT_EQ(id[14], '4');
  EXPECT_NE(std::string("89ab").find(id[19]), std::string::npos) << id;
  EXPECT_NE(id, NewRequestId());
}

}  // namespace
}  // namespace ft::client
