#include "client/stored/stored_job.h"

#include <gtest/gtest.h>

#include <fstream>

#include "client/stored/stored_logs.h"
#include "core/records/record_file.h"
#include "tests/support/temp_dir.h"

namespace ft::client {
namespace {

namespace fs = std::filesystem;

constexpr const char* kId = "j1a2207ef68e94dac555";

void Put(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

// A state folder with one run.
class StoredJobTest : public ::testing::Test {
 protected:
  StoredJobTest() { session_.data_dir = dir_.path(); }

  fs::path Run(const std::string& id = kId) const { return dir_.path() / "worker" / "runs" / id; }

  void AddAttempt(int epoch, const char* kind, const std::vector<decltype(records::Record::body)>& bodies,
                  const std::string& id = kId) {
    const fs::path attempt = Run(id) / "attempts" / StrCat(epoch);
    Put(attempt / "job.json",
        StrCat(R"({"spec": {"name": "qa", "model": {"source": "/m"}, "data": [{"source": "/d"}]},)",
               R"( "run": {"kind": ")", kind, R"("}})"));
    fs::create_directories(attempt / "rank0");
    auto writer = records::RecordWriter::Open(attempt / "rank0" / "records.ftr");
    for (const auto& body : bodies) ASSERT_TRUE(writer->Write(body).ok());
  }

  v1::Job Stored(bool full = true) {
    const auto run = StoredRun(session_, "qa", absl::UnavailableError("nobody listens"));
    EXPECT_TRUE(run.ok()) << run.status();
    return StoredJob(*run, full);
  }

  std::string Logs(int64_t tail = 0) {
    v1::StreamLogsRequest request;
    request.set_rank(-1);
    request.set_tail_bytes(tail);
    std::string all;
    const Status status = VisitStoredLogs(session_, *StoredRun(session_, "qa", absl::UnavailableError("")),
                                          request, [&all](const v1::LogChunk& chunk) {
                                            StrAppend(&all, chunk.rank(), chunk.stream(), "@", chunk.offset(),
                                                      "=", chunk.data(), ";");
                                          });
    EXPECT_TRUE(status.ok()) << status;
    return all;
  }

  const ft::testing::TempDir dir_;
  Session session_;
};

TEST_F(StoredJobTest, ASucceededJobIsAsTheCoordinatorShowsIt) {
  AddAttempt(1, "PREPARE",
             {records::Prepared{.cache_sha256 = "ab", .samples = 2, .tokens = 30, .report = {"a line"}},
              records::Result{.state = records::ResultState::kSucceeded}});
  AddAttempt(
      2, "TRAIN",
      {records::Plan{.total_steps = 4}, records::Step{.step = 3, .loss = 2, .tokens = 10, .seconds = 2},
       records::Eval{.step = 3, .name = "holdout", .loss = 5},
       records::Eval{.step = 3, .name = "wiki", .loss = 2, .supervised_tokens = 7},
       records::Score{.step = 3, .name = "mmlu", .questions = 8, .average = 25},
       records::Step{.step = 4, .loss = 1.5, .tokens = 10, .seconds = 2},
       records::Result{.state = records::ResultState::kSucceeded,
                       .step = 4,
                       .adapter_path = "attempts/2/adapter",
                       .adapter_sha256 = "cd"}});
  const v1::Job job = Stored();
  EXPECT_EQ(job.name(), StrCat("namespaces/default/jobs/", kId));
  EXPECT_EQ(job.display_name(), "qa");
  EXPECT_EQ(job.state(), v1::SUCCEEDED);
  EXPECT_EQ(job.state_message(), "finished after step 4");
  EXPECT_EQ(job.epoch(), 2);
  EXPECT_EQ(job.create_time().seconds(), 0x1a2207ef68e / 1000);
  EXPECT_EQ(job.progress().step(), 4);
  EXPECT_EQ(job.progress().total_steps(), 4);
  EXPECT_EQ(job.progress().loss(), 1.5);
  EXPECT_EQ(job.progress().tokens_per_second(), 5);
  EXPECT_EQ(job.progress().eval_loss(), 5);
  ASSERT_EQ(job.progress().evaluations_size(), 2);
  EXPECT_EQ(job.progress().evaluations(0).name(), "wiki");
  EXPECT_EQ(job.progress().evaluations(0).loss(), 2);
  EXPECT_EQ(job.progress().evaluations(1).score(), 25);
  EXPECT_EQ(job.prepared().samples(), 2);
  EXPECT_EQ(job.prepared().report(0), "a line");
  EXPECT_EQ(job.result().adapter_dir(), (Run() / "attempts/2/adapter").string());
  EXPECT_EQ(job.result().adapter_sha256(), "cd");
  EXPECT_NE(job.resolved_config_json().find("\"source\": \"/m\""), std::string::npos);
  EXPECT_TRUE(job.has_end_time());
  const v1::Job basic = Stored(/*full=*/false);
  EXPECT_TRUE(basic.resolved_config_json().empty());
  EXPECT_TRUE(basic.prepared().report().empty());
}

TEST_F(StoredJobTest, WhatHadNotEndedHasNoStateAndWhatFailedSaysWhy) {
  AddAttempt(1, "TRAIN", {records::Step{.step = 3, .loss = 2}});
  EXPECT_EQ(Stored().state(), v1::JOB_STATE_UNSPECIFIED);
  EXPECT_EQ(Stored().progress().step(), 3);
  AddAttempt(2, "TRAIN", {records::Result{.failure_class = "DATA", .message = "a.jsonl line 1: no answer"}});
  EXPECT_EQ(Stored().state(), v1::FAILED);
  EXPECT_EQ(Stored().failure().failure_class(), v1::DATA);
  EXPECT_EQ(Stored().state_message(), "a.jsonl line 1: no answer");
  AddAttempt(3, "TRAIN", {records::Result{.state = records::ResultState::kStopped, .step = 3}});
  EXPECT_EQ(Stored().state(), v1::JOB_STATE_UNSPECIFIED);
  EXPECT_FALSE(Stored().has_failure());
  EXPECT_EQ(Stored().state_message(), "stopped after step 3 as asked");
}

TEST_F(StoredJobTest, DamagedFilesLeaveFieldsEmpty) {
  Put(Run() / "attempts/1/job.json", R"({"spec": {"name": "qa", "labels": 7}, "run": 3})");
  Put(Run() / "attempts/1/rank0/records.ftr", std::string(100, '\x01'));
  EXPECT_EQ(Stored().state(), v1::JOB_STATE_UNSPECIFIED);
  EXPECT_TRUE(Stored().resolved_config_json().empty());
  const auto series = StoredSeries(session_, *StoredRun(session_, "qa", absl::UnavailableError("")));
  EXPECT_TRUE(absl::IsDataLoss(series.status())) << series.status();
}

TEST_F(StoredJobTest, TheNewestRunOfANameIsMeantAndOthersByTheirIds) {
  AddAttempt(1, "TRAIN", {}, "j00000000001aaaaaaaa");
  AddAttempt(1, "TRAIN", {}, "j00000000002aaaaaaaa");
  const Status why = absl::UnavailableError("nobody listens");
  EXPECT_EQ(StoredRun(session_, "qa", why)->run_dir, Run("j00000000002aaaaaaaa"));
  EXPECT_EQ(StoredRun(session_, "j00000000001aaaaaaaa", why)->run_dir, Run("j00000000001aaaaaaaa"));
  EXPECT_EQ(StoredRun(session_, "namespaces/default/jobs/j00000000001aaaaaaaa", why)->run_dir,
            Run("j00000000001aaaaaaaa"));
  const auto none = StoredRun(session_, "other", why);
  EXPECT_TRUE(absl::IsUnavailable(none.status()));
  EXPECT_NE(none.status().message().find("no job called 'other'"), absl::string_view::npos);
  EXPECT_NE(none.status().message().find("nobody listens"), absl::string_view::npos);
}

TEST_F(StoredJobTest, TheSeriesTakesTheNewestAttemptsPointOfEachStep) {
  AddAttempt(1, "TRAIN", {records::Step{.step = 1, .loss = 9}, records::Step{.step = 2, .loss = 8}});
  AddAttempt(2, "TRAIN", {records::Step{.step = 2, .loss = 7}});
  const auto series = StoredSeries(session_, *StoredRun(session_, "qa", absl::UnavailableError("")));
  ASSERT_TRUE(series.ok()) << series.status();
  ASSERT_EQ(series->size(), 2u);
  EXPECT_EQ((*series)[1].record().step().loss(), 7);
  EXPECT_EQ((*series)[1].epoch(), 2);
}

TEST_F(StoredJobTest, LogsAreWhatTheCoordinatorHasAndThenWhatItHadNotGot) {
  AddAttempt(2, "TRAIN", {});
  const fs::path own = Run() / "attempts/2/rank0", kept = dir_.path() / "jobs" / kId / "e2";
  Put(kept / "rank0/stdout", "first\n");
  Put(own / "stdout.log", "first\nsecond\n");
  Put(own / "stderr.log", "oh\n");
  Put(kept / "rank1/stdout", "of another node\n");
  EXPECT_EQ(Logs(), "0stdout@0=first\n;0stdout@6=second\n;0stderr@0=oh\n;1stdout@0=of another node\n;");
  EXPECT_EQ(Logs(9), "0stdout@4=t\n;0stdout@6=second\n;0stderr@0=oh\n;1stdout@7=her node\n;");
  // What was lost before it came leaves the two of different lengths.
  Put(kept / "rank0/stdout.gaps", "6 100\n");
  EXPECT_EQ(Logs(9).substr(0, 22), "0stdout@0=first\n;0stde");
}

}  // namespace
}  // namespace ft::client
