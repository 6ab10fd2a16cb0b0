// Feeds watch streams from committed groups, on a thread of its own. A job watch keeps the newest state of
// each job it has yet to send (it coalesces, so what it holds is bounded by the jobs there are, and a reader that reads is
// never dropped); an event watch never coalesces and re-reads the log when it fell behind. Items go out in the order of revisions, and each carries a token to go on after it.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "finetune/v1/events.pb.h"
#include "finetune/v1/jobs.pb.h"
#include "server/api/push_stream.h"
#include "server/api/tokens.h"
#include "server/state/state_loop.h"

namespace ft::api {

namespace pb = finetune::v1;

class Metrics;
class WatchHub;

inline constexpr absl::Duration kBookmarkEvery = absl::Seconds(10);
inline constexpr absl::Duration kStallLimit = absl::Seconds(60);
// A reader that has taken nothing for kSlowReader, with more than so many jobs waiting for it, is dropped.
inline constexpr size_t kWatchQueueLimit = 1024;
inline constexpr absl::Duration kSlowReader = absl::Seconds(5);

// What a job watch wants.
struct JobFilter {
  std::string namespace_id;  // Empty = all.
  std::string job_id;        // Empty = all.
  pb::JobView view = pb::BASIC;
  std::string Text() const { return "jobs/" + namespace_id + "/" + job_id; }
  bool Wants(const state::spb::StoredJob& job) const {
    return (namespace_id.empty() || job.namespace_id() == namespace_id) &&
           (job_id.empty() || job.job_id() == job_id);
  }
};

class JobWatch : public PushStream<pb::WatchJobsResponse> {
 public:
  JobWatch(WatchHub& hub, JobFilter filter, TokenKey key)
      : hub_(hub), filter_(std::move(filter)), key_(std::move(key)) {}
  // Everything after `revision`; with 0 the snapshot. `deleted` are jobs that went after it.
  void Prime(const state::ClusterState& state, int64_t revision, const std::vector<pb::Event>& deleted);
  // `state` is as it is after the changes, or later.
  void Add(const state::Changes& changes, const state::ClusterState& state);
  void AddBookmark();

 protected:
  Pull Take(pb::WatchJobsResponse* response, Status* status) override;
  void Ended() override;

 private:
  struct Item {
    state::JobPtr job;
    state::ConfigPtr config;  // For a full view.
    bool deleted = false;
  };
  void AddJob(int64_t revision, Item item);

  WatchHub& hub_;
  const JobFilter filter_;
  const TokenKey key_;
  // By (revision, job id), and where each job stands in it.
  std::map<std::pair<int64_t, std::string>, Item> pending_;
  std::map<std::string, int64_t> pending_revision_;
  int64_t sent_revision_ = 0;
  int64_t snapshot_revision_ = 0;
  bool sync_due_ = true;
  bool bookmark_due_ = false;
  bool overflow_ = false;
  absl::Time last_sent_ = absl::Now();
};

class EventWatch : public PushStream<pb::WatchEventsResponse> {
 public:
  EventWatch(WatchHub& hub, state::StateLoop& loop, std::string subject, int64_t after, TokenKey key)
      : hub_(hub), loop_(loop), subject_(std::move(subject)), key_(std::move(key)), cursor_(after) {}
  // There may be newer events, up to this revision.
  void Notify(int64_t revision);
  void AddBookmark();

 protected:
  Pull Take(pb::WatchEventsResponse* response, Status* status) override;
  void Ended() override;

 private:
  void Read();

  WatchHub& hub_;
  state::StateLoop& loop_;
  const std::string subject_;
  const TokenKey key_;
  int64_t cursor_;     // Read from the log up to here.
  int64_t known_ = 0;  // Newest revision heard of.
  int64_t sent_ = 0;
  bool reading_ = false;
  bool sync_due_ = true;
  bool bookmark_due_ = false;
  std::deque<pb::Event> queue_;
  absl::Time last_sent_ = absl::Now();
};

class WatchHub {
 public:
  WatchHub(state::StateLoop& loop, Metrics& metrics) : loop_(loop), metrics_(metrics) {}
  ~WatchHub() { Stop(); }
  void Start();
  // Ends all streams with UNAVAILABLE.
  void Stop();

  // From the writer's thread.
  void OnCommitted(const state::Committed& committed);
  // Primes the watch from the hub's own snapshot, so that it misses nothing and gets nothing twice.
  void Add(const std::shared_ptr<JobWatch>& watch, int64_t revision, const std::vector<pb::Event>& deleted);
  void Add(const std::shared_ptr<EventWatch>& watch);
  void Remove(const void* watch);

 private:
  void Main();
  // Hands what was committed to the watches; the hub's thread kicks them afterwards, without the lock.
  void DeliverLocked();
  void Housekeeping();

  state::StateLoop& loop_;
  Metrics& metrics_;
  std::mutex mutex_;  // Guards all below but the thread.
  std::condition_variable wake_;
  std::deque<state::Committed> queue_;
  state::Snapshot snapshot_;
  std::map<const void*, std::shared_ptr<JobWatch>> job_watches_;
  std::map<const void*, std::shared_ptr<EventWatch>> event_watches_;
  bool kick_due_ = false;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace ft::api
