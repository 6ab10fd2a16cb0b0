// What a user does, against real processes.
#include <gtest/gtest.h>

#include <fstream>

#include "core/base/sha256.h"
#include "core/rpc/errors.h"
#include "tests/control/started_cluster.h"

namespace ft::testing {
namespace {

using Control = StartedCluster;

TEST_F(Control, JobRunsToItsEnd) {
  const pb::Job submitted = Submit({.name = "first"});
  EXPECT_EQ(submitted.state(), pb::PREPARING);
  const pb::Job job = cluster_.WaitForState(submitted.name(), pb::SUCCEEDED);
  EXPECT_EQ(job.epoch(), 2);  // One to prepare, one to train.
  EXPECT_EQ(job.prepared().samples(), 7);
  EXPECT_EQ(job.progress().step(), 20);
  EXPECT_EQ(job.progress().total_steps(), 20);
  EXPECT_EQ(job.result().adapter_sha256(), Hex(Sha256Of(std::string(600'000, 'a'))));
  EXPECT_EQ(cluster_.Metrics("first").size(), 20u);

  pb::Job found;
  EXPECT_TRUE(cluster_.Get("first", &found).ok());
  EXPECT_EQ(found.name(), submitted.name());
  EXPECT_TRUE(cluster_.Get(IdOf(submitted), &found).ok());
  pb::ListJobsResponse list;
  ASSERT_TRUE(cluster_.jobs().ListJobs(Context().get(), {}, &list).ok());
  ASSERT_EQ(list.jobs_size(), 1);
  EXPECT_EQ(cluster_.StopWorker(), 0);
  EXPECT_EQ(cluster_.StopCoordinator(), 0);
}

TEST_F(Control, LogsAndAdapterCanBeRead) {
  Submit({.name = "logs"});
  pb::StreamLogsRequest request;
  request.set_job("logs");
  request.set_rank(-1);
  request.set_follow(true);
  auto context = Context();
  auto logs = pb::LogService::NewStub(cluster_.channel())->StreamLogs(context.get(), request);
  std::string text;
  for (pb::LogChunk chunk; logs->Read(&chunk);) {
    if (chunk.stream() == "stdout") text += chunk.data();
  }
  EXPECT_TRUE(logs->Finish().ok());
  std::string expected;
  for (int step = 1; step <= 20; ++step) expected += "step " + std::to_string(step) + "\n";
  EXPECT_EQ(text, expected);

  pb::DownloadAdapterRequest download;
  download.set_job("logs");
  auto download_context = Context();
  auto files =
      pb::ArtifactService::NewStub(cluster_.channel())->DownloadAdapter(download_context.get(), download);
  std::map<std::string, std::string> content;
  for (pb::FileChunk chunk; files->Read(&chunk);) content[chunk.path()] += chunk.data();
  EXPECT_TRUE(files->Finish().ok());
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(content["adapter_model.safetensors"], std::string(600'000, 'a'));
}

TEST_F(Control, SameRequestIsOneJob) {
  const CreateOptions options{.name = "once", .request_id = "11111111-1111-4111-8111-111111111111"};
  const pb::Job first = Submit(options);
  const pb::Job second = Submit(options);
  EXPECT_EQ(first.name(), second.name());
  CreateOptions other = options;
  other.name = "other";
  pb::Job job;
  const grpc::Status reused = cluster_.Create(other, &job);
  EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(reused)), pb::REQUEST_ID_REUSED);
  pb::ListJobsResponse list;
  ASSERT_TRUE(cluster_.jobs().ListJobs(Context().get(), {}, &list).ok());
  EXPECT_EQ(list.jobs_size(), 1);
}

TEST_F(Control, CancelIsFinal) {
  const pb::Job job =
      Submit({.name = "cancel", .labels = "  fake_steps: \"100000\"\n  fake_ignore_term: \"0\"\n"});
  cluster_.WaitForState(job.name(), pb::RUNNING);
  pb::CancelJobRequest request;
  request.set_name(job.name());
  request.set_reason("test");
  pb::Job cancelled;
  ASSERT_TRUE(cluster_.jobs().CancelJob(Context().get(), request, &cancelled).ok());
  const pb::Job ended = cluster_.WaitForState(job.name(), pb::CANCELLED);
  EXPECT_TRUE(Eventually([&] { return cluster_.RankPids().empty(); }));
  pb::Job again;
  ASSERT_TRUE(cluster_.jobs().CancelJob(Context().get(), request, &again).ok());
  EXPECT_EQ(again.epoch(), ended.epoch());
}

TEST_F(Control, PauseAndResumeGoOnAtTheCheckpoint) {
  const pb::Job job = Submit({.name = "pause", .labels = "  fake_steps: \"400\"\n  fake_step_ms: \"3\"\n"});
  cluster_.WaitFor(job.name(), [](const pb::Job& j) { return j.progress().step() > 5; });
  pb::PauseJobRequest pause;
  pause.set_name(job.name());
  pb::Job reply;
  ASSERT_TRUE(cluster_.jobs().PauseJob(Context().get(), pause, &reply).ok());
  const pb::Job paused = cluster_.WaitForState(job.name(), pb::PAUSED);
  EXPECT_GT(paused.progress().checkpoint_step(), 5);
  pb::ResumeJobRequest resume;
  resume.set_name(job.name());
  ASSERT_TRUE(cluster_.jobs().ResumeJob(Context().get(), resume, &reply).ok());
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  EXPECT_EQ(cluster_.Metrics("pause").size(), 400u);
}

TEST_F(Control, WrongJobFilesAreRefusedWithEveryProblem) {
  pb::CreateJobRequest request;
  request.mutable_job()->set_config_yaml("modle: x\ntrain: {epochs: many}\n");
  pb::Job job;
  const grpc::Status status = cluster_.jobs().CreateJob(Context().get(), request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(status)), pb::JOB_CONFIG_INVALID);
  EXPECT_NE(status.error_message().find("modle"), std::string::npos);
  EXPECT_NE(status.error_message().find("train.epochs"), std::string::npos);

  request.mutable_job()->set_config_yaml(
      "model: {source: /m, encode_special_tokens: true}\ndata: /d.jsonl\nname: n\n");
  const grpc::Status unsupported = cluster_.jobs().CreateJob(Context().get(), request, &job);
  EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(unsupported)), pb::NOT_SUPPORTED_YET) << unsupported.error_message();
}

TEST_F(Control, FailureThatCannotHealEndsTheJobAtOnce) {
  const pb::Job job =
      Submit({.name = "bad", .labels = "  fake_fail_at: \"3\"\n  fake_fail_class: NAN_LOSS\n"});
  const pb::Job failed = cluster_.WaitForState(job.name(), pb::FAILED);
  EXPECT_EQ(failed.failure().failure_class(), pb::NAN_LOSS);
  EXPECT_EQ(failed.failure().message(), "the fake rank fails at step 3");
  EXPECT_EQ(failed.epoch(), 2);
}

TEST_F(Control, DeletedJobTakesItsFilesAlong) {
  const pb::Job job = Submit({.name = "gone"});
  pb::DeleteJobRequest request;
  request.set_name(job.name());
  pb::DeleteJobResponse response;
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  ASSERT_TRUE(cluster_.jobs().DeleteJob(Context().get(), request, &response).ok());
  pb::Job none;
  EXPECT_EQ(rpc::ReasonOf(rpc::FromGrpc(cluster_.Get(job.name(), &none))), pb::JOB_NOT_FOUND);
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(cluster_.RunDir(IdOf(job))); }));
  EXPECT_TRUE(
      Eventually([&] { return !std::filesystem::exists(cluster_.dir() / "coordinator/jobs" / IdOf(job)); }));
}

TEST_F(Control, WhatAnAgentDiscardedAndDidNotRemoveIsRemovedByTheNext) {
  const std::filesystem::path left =
      cluster_.WorkerDir() / "runs" / (std::string(".discarded-") + kNode) / "7.1/attempts";
  std::filesystem::create_directories(left);
  std::ofstream(left / "job.json") << "{}";
  cluster_.WaitForNode();
  cluster_.Signal(cluster_.AgentPid(), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(left.parent_path()); }));
}

TEST_F(Control, UploadGoesOnWhereItBrokeOff) {
  const std::string content(3'000'000, 'x');
  const std::string digest = Hex(Sha256Of(content));
  auto stub = pb::DataService::NewStub(cluster_.channel());
  const auto send = [&](int64_t from, int64_t to) {
    pb::UploadStatus status;
    auto context = Context();
    auto writer = stub->Upload(context.get(), &status);
    for (int64_t offset = from; offset < to; offset += 1'000'000) {
      pb::UploadChunk chunk;
      chunk.set_sha256(digest);
      chunk.set_size(static_cast<int64_t>(content.size()));
      chunk.set_file_name("data.jsonl");
      chunk.set_offset(offset);
      chunk.set_data(content.substr(static_cast<size_t>(offset), 1'000'000));
      writer->Write(chunk);
    }
    writer->WritesDone();
    EXPECT_TRUE(writer->Finish().ok());
    return status;
  };
  EXPECT_TRUE(send(0, 1'000'000).source().empty());
  pb::GetUploadRequest request;
  request.set_sha256(digest);
  pb::UploadStatus status;
  ASSERT_TRUE(stub->GetUpload(Context().get(), request, &status).ok());
  EXPECT_EQ(status.received(), 1'000'000);
  EXPECT_EQ(send(1'000'000, 3'000'000).source(), "upload://" + digest + "/data.jsonl");
}

TEST_F(Control, OldCheckpointsAreDeleted) {
  const pb::Job job = Submit({.name = "keep", .every_steps = 4, .keep_last = 2});
  cluster_.WaitForState(job.name(), pb::SUCCEEDED);
  pb::ListCheckpointsRequest request;
  request.set_job("keep");
  pb::ListCheckpointsResponse response;
  ASSERT_TRUE(pb::ArtifactService::NewStub(cluster_.channel())
                  ->ListCheckpoints(Context().get(), request, &response)
                  .ok());
  ASSERT_EQ(response.checkpoints_size(), 2);
  EXPECT_EQ(response.checkpoints(0).step(), 16);
  EXPECT_EQ(response.checkpoints(1).step(), 20);
  const std::filesystem::path dir = cluster_.RunDir(IdOf(job)) + "/checkpoints";
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(dir / "e2-s12"); }));
  EXPECT_TRUE(std::filesystem::exists(dir / "e2-s16/manifest.json"));
}

}  // namespace
}  // namespace ft::testing
