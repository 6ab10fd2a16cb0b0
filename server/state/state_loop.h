// The coordinator's heart: one thread (StateLoop) decides, one thread (the writer) makes it durable.
//
// The loop owns `working`, the state after every accepted event, on which all decisions are taken. Each
// transition goes to the writer, which stores transitions in order, a group per transaction, then publishes
// an immutable snapshot and lets out replies, commands and watch items. Nothing leaves the process before its
// commit. DATA_LOSS from the store aborts the process; a full disk drops `working`, goes back to the
// published state and refuses the group's mutations.
//
// Progress of ranks alone (Changes::only_progress) is the exception: it is published at once and stored once a second, since
// ranks tell it again when the coordinator has forgotten it. Revisions never repeat all the same: the store holds a limit below
// which all revisions stay that were given out, and a coordinator that was not stopped in order goes on behind it.
#pragma once

#include <atomic>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "core/base/clock.h"
#include "core/http/probes.h"
#include "server/state/apply.h"
#include "server/state/store.h"

namespace ft::state {

using Snapshot = std::shared_ptr<const ClusterState>;

// One committed group, as watchers see it.
struct Committed {
  Snapshot snapshot;
  std::vector<Changes> changes;
};

struct LoopStats {
  std::function<void(double seconds, size_t group)> on_commit;  // After each transaction.
  std::function<void(const Changes&)> on_changes;               // After the commit, for each transition.
  std::function<void(const std::string& code)> on_store_error;
};

class StateLoop {
 public:
  using Done =
      std::function<void(const Reply&, const Snapshot&)>;  // On the writer's thread, after the commit.

  static constexpr size_t kInboxLimit = 4096;

  // Neither clock nor store is owned; the store is used by the writer's thread only.
  StateLoop(Store& store, const Clock& clock, ClusterState initial);
  ~StateLoop() { Stop(); }

  // Set before Start(). `on_committed` and `on_commands` run on the writer's thread.
  void OnCommitted(std::function<void(const Committed&)> callback) { on_committed_ = std::move(callback); }
  void OnCommands(std::function<void(const std::vector<NodeCommand>&)> callback) {
    on_commands_ = std::move(callback);
  }
  void SetStats(LoopStats stats) { stats_ = std::move(stats); }

  void Start();
  void Stop();

  // From any thread. RESOURCE_EXHAUSTED (INBOX_FULL) at once when too much waits already; then `done` is not
  // called.
  Status Post(Event event, Done done);
  // Runs `read` on the writer's thread, after what was posted before it is committed. Same bound.
  Status Read(std::function<void(Store&)> read);
  // Runs on the loop's thread, outside the bound: leases, timers.
  boost::asio::io_context& context() { return context_; }
  // The newest committed state; any thread.
  Snapshot published() const;
  // REQUIRES: on the loop's thread.
  const ClusterState& working() const { return working_; }
  size_t waiting() const { return inbox_.load(); }
  // When its threads last turned; both do at least once a second.
  const http::Heartbeat& loop_turned() const { return loop_turned_; }
  const http::Heartbeat& writer_turned() const { return writer_turned_; }

 private:
  struct Item {
    Transition transition;
    Done done;
    std::function<void(Store&)> read;
    int64_t generation = 0;
  };

  void Decide(Event event, Done done);
  void Turn();
  // Not before a while after the last pass: events come faster than passes end.
  void ScheduleSoon();
  void Pass();
  void Enqueue(Item item);
  void WriterMain();
  std::deque<Item> NextGroup();
  void Commit(std::deque<Item>& group);
  Status StoreGroup(const std::deque<Item>& group);
  // Stores progress that has waited for a second, or all of it.
  Status StoreProgress(bool all);
  void KeepProgress(const Changes& changes);
  // Aborts, unless the disk is full.
  void OnStoreError(const Status& status);
  void RefuseGroup(std::deque<Item>& group, const Status& why);
  void Release(std::deque<Item>& group);

  Store& store_;
  const Clock& clock_;
  std::function<void(const Committed&)> on_committed_ = [](const Committed&) {};
  std::function<void(const std::vector<NodeCommand>&)> on_commands_ = [](const std::vector<NodeCommand>&) {};
  LoopStats stats_;
  std::atomic<size_t> inbox_ = 0;
  http::Heartbeat loop_turned_, writer_turned_;

  // The loop's thread.
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{context_.get_executor()};
  ClusterState working_;
  int64_t generation_ = 0;
  bool schedule_posted_ = false;
  std::chrono::steady_clock::time_point next_pass_;
  boost::asio::steady_timer turn_timer_{context_}, pass_timer_{context_};
  std::thread loop_thread_;

  // Between the two.
  mutable std::mutex mutex_;  // Guards queue_, stop_ and published_.
  std::condition_variable wake_;
  std::deque<Item> queue_;
  bool stop_ = false;
  Snapshot published_;

  // The writer's thread.
  int64_t writer_generation_ = 0;
  // Rows that were published and not stored, the newest of each.
  std::map<std::string, JobPtr> progress_jobs_;
  std::map<std::string, AttemptPtr> progress_attempts_;
  std::chrono::steady_clock::time_point progress_stored_;
  int64_t revision_limit_ = 0;  // Durable.
  std::thread writer_thread_;
};

}  // namespace ft::state
