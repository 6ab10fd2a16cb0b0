// Rows that need no process: the store, the state loop, Apply().
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>

#include "bench/control/rows.h"
#include "server/state/sqlite_store.h"
#include "server/state/state_loop.h"
#include "tests/support/temp_dir.h"

namespace ft::bench {
namespace {

using Clock = std::chrono::steady_clock;
using namespace state;  // NOLINT: rows of its types only.

constexpr int kSubmits = 5000;
constexpr int kInFlight = 64;  // Clients that wait for their answers.

double Since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

void Must(const Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "control_bench: %s\n", std::string(Message(status)).c_str());
  std::exit(1);
}

// A job as a small job file makes it.
CreateJob Job(const std::string& id) {
  CreateJob event;
  event.row.set_job_id(id);
  event.row.set_namespace_id("default");
  event.row.set_ranks(1);
  event.row.set_threads(2);
  event.row.set_device("cpu");
  event.row.set_keep_last(2);
  event.row.mutable_job()->set_display_name("bench");
  event.config.set_job_id(id);
  event.config.set_config_yaml(std::string(500, 'y'));
  event.config.set_resolved_config_json(std::string(2500, 'j'));
  return event;
}

// Ended jobs, straight into the store.
void Fill(SqliteStore& store, int jobs) {
  constexpr int kGroup = 500;
  for (int first = 0; first < jobs; first += kGroup) {
    Changes changes;
    for (int i = first; i < std::min(jobs, first + kGroup); ++i) {
      const CreateJob event = Job(StrCat("old", i));
      auto row = std::make_shared<spb::StoredJob>(event.row);
      row->set_order(i + 1);
      row->set_revision(i + 1);
      row->mutable_job()->set_name(JobName("default", row->job_id()));
      row->mutable_job()->set_state(pb::SUCCEEDED);
      row->mutable_job()->set_epoch(2);
      changes.jobs.push_back(std::move(row));
      changes.configs.push_back(std::make_shared<spb::StoredConfig>(event.config));
      for (int epoch = 1; epoch <= 2; ++epoch) {
        auto attempt = std::make_shared<spb::StoredAttempt>();
        attempt->set_job_id(event.row.job_id());
        attempt->set_epoch(epoch);
        attempt->set_state(spb::StoredAttempt::ENDED);
        attempt->add_ranks()->set_node_id("a");
        changes.attempts.push_back(std::move(attempt));
      }
    }
    changes.revision = first + kGroup;
    const Changes* const group[] = {&changes};
    Must(store.WriteGroup(group, changes.revision));
  }
}

double SubmitsASecond(StateLoop& loop) {
  std::mutex mutex;
  std::condition_variable changed;
  int in_flight = 0, failed = 0;
  const auto start = Clock::now();
  for (int i = 0; i < kSubmits; ++i) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return in_flight < kInFlight; });
    ++in_flight;
    lock.unlock();
    Must(loop.Post(Job(StrCat("new", i)), [&](const Reply& reply, const Snapshot&) {
      std::lock_guard done(mutex);
      --in_flight;
      failed += reply.status.ok() ? 0 : 1;
      changed.notify_one();
    }));
  }
  std::unique_lock lock(mutex);
  changed.wait(lock, [&] { return in_flight == 0; });
  if (failed > 0) Must(absl::InternalError(StrCat(failed, " submits were refused")));
  return kSubmits / Since(start);
}

}  // namespace

void MeasureStore(int jobs) {
  testing::TempDir dir;
  {
    auto store = SqliteStore::Open(dir.path());
    Must(store.status());
    Fill(**store, jobs);
  }
  const auto start = Clock::now();
  auto store = SqliteStore::Open(dir.path());
  Must(store.status());
  auto state = (*store)->Load();
  Must(state.status());
  Print(StrCat("load_", jobs), Since(start));
  SystemClock clock;
  StateLoop loop(**store, clock, *std::move(state));
  loop.Start();
  Print(StrCat("submits_", jobs), SubmitsASecond(loop));
  loop.Stop();
}

void MeasurePass(int waiting, int nodes) {
  ClusterState state;
  const absl::Time now = absl::Now();
  const auto apply = [&](const Event& event) { state = Apply(state, event, now).next; };
  for (int i = 0; i < nodes; ++i) {
    RegisterNode node;
    node.request.set_node_id(StrCat("node", i));
    node.request.set_prepare_slots(waiting);
    auto& cpu = *node.request.add_devices();
    cpu.set_kind("cpu");
    cpu.set_cores(8);
    apply(node);
  }
  // All nodes are taken; the jobs wait in a dozen shapes, the first for more than is free anywhere.
  Changes changes;
  changes.revision = state.revision + 1;
  for (int i = 0; i < waiting + nodes; ++i) {
    const bool runs = i < nodes;
    CreateJob event = Job(StrCat("j", i));
    auto row = std::make_shared<spb::StoredJob>(event.row);
    row->set_order(i + 1);
    row->set_ranks(runs ? 1 : 1 + i % 4);
    row->set_threads(runs ? 7 : 2 + i % 3);
    row->mutable_job()->set_state(runs ? pb::RUNNING : pb::QUEUED);
    row->mutable_job()->set_epoch(1);
    auto attempt = std::make_shared<spb::StoredAttempt>();
    attempt->set_job_id(row->job_id());
    attempt->set_epoch(1);
    attempt->set_kind(runs ? wpb::TRAIN : wpb::PREPARE);
    attempt->set_state(runs ? spb::StoredAttempt::RUNNING : spb::StoredAttempt::ENDED);
    attempt->set_threads(7);
    attempt->add_ranks()->set_node_id(StrCat("node", i % nodes));
    changes.jobs.push_back(std::move(row));
    changes.attempts.push_back(std::move(attempt));
  }
  Install(changes, state);
  apply(SchedulePass{});  // The first gives every job its reason.
  double worst = 0;
  for (int i = 0; i < 20; ++i) {
    const auto start = Clock::now();
    Apply(state, SchedulePass{}, now);
    worst = std::max(worst, Since(start));
  }
  Print("pass_ms", worst * 1e3);
}

}  // namespace ft::bench
