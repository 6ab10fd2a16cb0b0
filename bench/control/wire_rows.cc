// Rows of the program over its sockets.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <thread>

#include "bench/control/daemon.h"
#include "bench/control/rows.h"
#include "core/base/str_cat.h"

namespace ft::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kJobs = 200;
constexpr int kBatchesASecond = 10;
constexpr int kSeconds = 10;
constexpr int kWatches = 2000;
constexpr int kWatchSteps = 50;

// One watch of one job; notes when each step came.
class Watch : public grpc::ClientReadReactor<pb::WatchJobsResponse> {
 public:
  Watch(pb::JobService::Stub& stub, const std::string& job) {
    request_.set_name(job);
    stub.async()->WatchJobs(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.synced()) synced = true;
    if (response_.has_job()) {
      std::lock_guard lock(mutex_);
      came_.try_emplace(response_.job().progress().step(), Clock::now());
    }
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override { done = true; }
  void Cancel() { context_.TryCancel(); }
  std::map<int64_t, Clock::time_point> Came() {
    std::lock_guard lock(mutex_);
    return came_;
  }

  std::atomic<bool> synced = false;
  std::atomic<bool> done = false;

 private:
  grpc::ClientContext context_;
  pb::WatchJobsRequest request_;
  pb::WatchJobsResponse response_;
  std::mutex mutex_;
  std::map<int64_t, Clock::time_point> came_;
};

template <typename Condition>
void WaitFor(const char* what, Condition condition) {
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (Clock::now() > deadline)
      Must({grpc::StatusCode::DEADLINE_EXCEEDED, StrCat(what, ": not within 60 s")});
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

// Each job's rank has a moment of its own in each tenth of a second and, like a rank's agent, one batch on
// the way at most: one whose last batch is not acknowledged yet sends the next late.
void MeasureProgress(const std::string& finetuned) {
  constexpr int kBatches = kSeconds * kBatchesASecond;
  Daemon daemon(finetuned);
  const std::vector<std::string> jobs = daemon.RunJobs(kJobs);
  daemon.RenewLease();
  std::vector<std::atomic<int>> acknowledged(jobs.size());
  const double cpu = daemon.CpuSeconds(), written = daemon.WrittenBytes();
  const auto start = Clock::now();
  const auto due = [&](int batch, size_t job) {
    const auto moment = static_cast<int64_t>(batch) * kJobs + static_cast<int64_t>(job);
    return start + moment * std::chrono::nanoseconds(std::chrono::seconds(1)) / (kJobs * kBatchesASecond);
  };
  for (int batch = 0; batch < kBatches; ++batch) {
    for (size_t job = 0; job < jobs.size(); ++job) {
      std::this_thread::sleep_until(due(batch, job));
      WaitFor("the last batch is acknowledged", [&] { return acknowledged[job] == batch; });
      daemon.StartStep(jobs[job], batch + 1, batch + 1, [&, job] { ++acknowledged[job]; });
    }
  }
  for (const std::atomic<int>& done : acknowledged)
    WaitFor("batches are acknowledged", [&] { return done == kBatches; });
  const double took = std::chrono::duration<double>(Clock::now() - start).count();
  Print("progress_batches", kBatches * kJobs / took);
  Print("progress_cores", (daemon.CpuSeconds() - cpu) / took);
  Print("progress_mb", (daemon.WrittenBytes() - written) / took / 1e6);
}

void MeasureWatches(const std::string& finetuned) {
  Daemon daemon(finetuned);
  const std::vector<std::string> jobs = daemon.RunJobs(kJobs);
  auto stub = pb::JobService::NewStub(daemon.channel());
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < kWatches; ++i)
    watches.push_back(std::make_unique<Watch>(*stub, jobs[static_cast<size_t>(i) % jobs.size()]));
  WaitFor("watches are synced", [&] {
    return std::all_of(watches.begin(), watches.end(),
                       [](const auto& watch) { return watch->synced.load(); });
  });
  std::map<int64_t, Clock::time_point> sent;
  for (int64_t step = 1; step <= kWatchSteps; ++step) {
    sent[step] = Clock::now();
    daemon.PushStep(jobs[static_cast<size_t>(step) % jobs.size()],
                    1 + (step - 1) / static_cast<int64_t>(jobs.size()), step);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  std::this_thread::sleep_for(std::chrono::seconds(1));
  std::vector<double> delays;
  for (const auto& watch : watches) {
    for (const auto& [step, time] : watch->Came()) {
      if (sent.contains(step)) delays.push_back(std::chrono::duration<double>(time - sent[step]).count());
    }
  }
  const size_t expected = static_cast<size_t>(kWatchSteps) * kWatches / jobs.size();
  if (delays.size() != expected)
    Must({grpc::StatusCode::DATA_LOSS, StrCat(delays.size(), " of ", expected, " messages came")});
  std::sort(delays.begin(), delays.end());
  Print("watch_p99_ms", delays[delays.size() * 99 / 100] * 1e3);
  for (const auto& watch : watches) watch->Cancel();
  WaitFor("watches have ended", [&] {
    return std::all_of(watches.begin(), watches.end(), [](const auto& watch) { return watch->done.load(); });
  });
}

}  // namespace ft::bench
