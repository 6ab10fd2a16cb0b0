#include "server/api/watch_hub.h"

#include <pthread.h>

#include "server/api/metrics.h"
#include "server/api/tokens.h"

namespace ft::api {
namespace {

constexpr int kEventBatch = 256;

Status SlowConsumer() {
  return rpc::WithReason(absl::AbortedError("this watch reads too slowly: go on with the last resume token"),
                         pb::SLOW_CONSUMER);
}

}  // namespace

void JobWatch::Prime(const state::ClusterState& state, int64_t revision,
                     const std::vector<pb::Event>& deleted) {
  std::lock_guard lock(mutex_);
  sent_revision_ = revision;
  snapshot_revision_ = state.revision;
  state.jobs.ForEach([&](const state::JobPtr& job) {
    if (filter_.Wants(*job) && job->revision() > revision)
      AddJob(job->revision(), {job, state.configs.Find(job->job_id())});
  });
  for (const pb::Event& event : deleted) {
    if (event.revision() > state.revision) continue;  // The hub will deliver it.
    auto row = std::make_shared<state::spb::StoredJob>();
    const size_t slash = event.subject().rfind('/');
    row->set_job_id(event.subject().substr(slash + 1));
    const size_t start = std::string("namespaces/").size();
    row->set_namespace_id(event.subject().substr(start, event.subject().find('/', start) - start));
    row->mutable_job()->set_name(event.subject());
    if (filter_.Wants(*row)) AddJob(event.revision(), {.job = row, .deleted = true});
  }
}

void JobWatch::AddJob(int64_t revision, Item item) {
  const std::string id = item.job->job_id();
  const auto it = pending_revision_.find(id);
  if (it != pending_revision_.end()) pending_.erase({it->second, id});
  pending_[{revision, id}] = std::move(item);
  pending_revision_[id] = revision;
}

void JobWatch::Add(const state::Changes& changes, const state::ClusterState& state) {
  std::lock_guard lock(mutex_);
  for (const state::JobPtr& job : changes.jobs) {
    if (filter_.Wants(*job)) AddJob(job->revision(), {job, state.configs.Find(job->job_id())});
  }
  for (const state::JobPtr& job : changes.deleted_jobs) {
    if (filter_.Wants(*job)) AddJob(changes.revision, {.job = job, .deleted = true});
  }
  overflow_ = overflow_ || (pending_.size() > kWatchQueueLimit && Stalled() > kSlowReader);
}

void JobWatch::AddBookmark() {
  std::lock_guard lock(mutex_);
  if (pending_.empty() && absl::Now() - last_sent_ >= kBookmarkEvery) bookmark_due_ = true;
}

JobWatch::Pull JobWatch::Take(pb::WatchJobsResponse* response, Status* status) {
  if (overflow_) {
    *status = SlowConsumer();
    return Pull::kFinish;
  }
  const bool snapshot_sent = pending_.empty() || pending_.begin()->first.first > snapshot_revision_;
  if (sync_due_ && snapshot_sent) {
    sync_due_ = false;
    sent_revision_ = std::max(sent_revision_, snapshot_revision_);
    response->set_synced(true);
  } else if (!pending_.empty()) {
    const auto first = pending_.begin();
    const int64_t revision = first->first.first;
    response->set_revision(revision);
    if (first->second.deleted) {
      response->set_deleted(first->second.job->job().name());
    } else {
      *response->mutable_job() = first->second.job->job();
      if (filter_.view == pb::FULL && first->second.config != nullptr)
        state::AddConfig(*first->second.config, *response->mutable_job());
    }
    pending_revision_.erase(first->first.second);
    pending_.erase(first);
    // Several jobs may change in one revision: only after the last of them may a token skip it.
    const bool more = !pending_.empty() && pending_.begin()->first.first == revision;
    sent_revision_ = std::max(sent_revision_, more ? revision - 1 : revision);
  } else if (bookmark_due_) {
    bookmark_due_ = false;
    response->set_bookmark(true);
  } else {
    return Pull::kNothing;
  }
  last_sent_ = absl::Now();
  if (!response->has_job() && response->deleted().empty()) response->set_revision(sent_revision_);
  response->set_resume_token(WriteToken(key_.secret, {key_.store_id, filter_.Text(), sent_revision_}));
  return Pull::kItem;
}

void JobWatch::Ended() { hub_.Remove(this); }

void EventWatch::Notify(int64_t revision) {
  std::lock_guard lock(mutex_);
  known_ = std::max(known_, revision);
}

void EventWatch::AddBookmark() {
  std::lock_guard lock(mutex_);
  if (queue_.empty() && absl::Now() - last_sent_ >= kBookmarkEvery) bookmark_due_ = true;
}

// Asks the writer's thread for the next batch; nothing is dropped, because the log is the queue.
void EventWatch::Read() {
  reading_ = true;
  auto self = std::static_pointer_cast<EventWatch>(shared_from_this());
  const int64_t target = known_;
  const Status posted = loop_.Read([self, target](state::Store& store) {
    auto events =
        store.ReadEvents({.after_revision = self->cursor_, .subject = self->subject_, .limit = kEventBatch});
    if (!events.ok()) {
      self->End(events.status());  // What cannot be read now would not be read at the next try either.
      return;
    }
    {
      std::lock_guard lock(self->mutex_);
      self->reading_ = false;
      const bool all = static_cast<int>(events->size()) < kEventBatch;
      if (!events->empty()) self->cursor_ = events->back().revision();
      if (all) self->cursor_ = std::max(self->cursor_, target);
      for (pb::Event& event : *events) self->queue_.push_back(std::move(event));
    }
    self->Kick();
  });
  if (!posted.ok()) reading_ = false;
}

EventWatch::Pull EventWatch::Take(pb::WatchEventsResponse* response, Status*) {
  if (!queue_.empty()) {
    *response->mutable_event() = std::move(queue_.front());
    queue_.pop_front();
    sent_ = response->event().revision();
  } else if (cursor_ < known_) {
    if (!reading_) Read();
    return Pull::kNothing;
  } else if (sync_due_) {
    sync_due_ = false;
    response->set_synced(true);
  } else if (bookmark_due_) {
    bookmark_due_ = false;
    response->set_bookmark(true);
  } else {
    return Pull::kNothing;
  }
  last_sent_ = absl::Now();
  const int64_t position = queue_.empty() ? std::max(sent_, response->has_event() ? sent_ : cursor_) : sent_;
  response->set_resume_token(WriteToken(key_.secret, {key_.store_id, "events/" + subject_, position}));
  return Pull::kItem;
}

void EventWatch::Ended() { hub_.Remove(this); }

void WatchHub::Start() {
  snapshot_ = loop_.published();
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "watch-hub");
    Main();
  });
}

void WatchHub::Stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
  const Status bye = absl::UnavailableError("the coordinator is stopping: go on with the last resume token");
  std::map<const void*, std::shared_ptr<JobWatch>> jobs;
  std::map<const void*, std::shared_ptr<EventWatch>> events;
  {
    std::lock_guard lock(mutex_);
    jobs.swap(job_watches_);
    events.swap(event_watches_);
  }
  for (auto& [key, watch] : jobs) watch->End(bye);
  for (auto& [key, watch] : events) watch->End(bye);
}

void WatchHub::OnCommitted(const state::Committed& committed) {
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(committed);
  }
  wake_.notify_one();
}

void WatchHub::Add(const std::shared_ptr<JobWatch>& watch, int64_t revision,
                   const std::vector<pb::Event>& deleted) {
  {
    std::lock_guard lock(mutex_);
    DeliverLocked();
    watch->Prime(*snapshot_, revision, deleted);
    if (!stop_) job_watches_[watch.get()] = watch;
  }
  wake_.notify_one();
  if (watch->finished()) Remove(watch.get());
  watch->Kick();
}

void WatchHub::Add(const std::shared_ptr<EventWatch>& watch) {
  {
    std::lock_guard lock(mutex_);
    DeliverLocked();
    watch->Notify(snapshot_->revision);
    if (!stop_) event_watches_[watch.get()] = watch;
  }
  wake_.notify_one();
  if (watch->finished()) Remove(watch.get());
  watch->Kick();
}

void WatchHub::Remove(const void* watch) {
  std::lock_guard lock(mutex_);
  job_watches_.erase(watch);
  event_watches_.erase(watch);
}

void WatchHub::DeliverLocked() {
  while (!queue_.empty()) {
    const state::Committed committed = std::move(queue_.front());
    queue_.pop_front();
    snapshot_ = committed.snapshot;
    for (auto& [key, watch] : job_watches_) {
      for (const state::Changes& changes : committed.changes) watch->Add(changes, *committed.snapshot);
    }
    for (auto& [key, watch] : event_watches_) watch->Notify(committed.snapshot->revision);
    kick_due_ = true;
  }
}

void WatchHub::Main() {
  std::unique_lock lock(mutex_);
  absl::Time next_housekeeping = absl::Now() + absl::Seconds(1);
  while (!stop_) {
    wake_.wait_for(lock, std::chrono::seconds(1), [this] { return stop_ || kick_due_ || !queue_.empty(); });
    if (stop_) return;
    if (absl::Now() >= next_housekeeping) {
      next_housekeeping = absl::Now() + absl::Seconds(1);
      lock.unlock();
      Housekeeping();
      lock.lock();
    }
    if (queue_.empty() && !kick_due_) continue;
    DeliverLocked();
    std::vector<std::shared_ptr<JobWatch>> jobs;
    std::vector<std::shared_ptr<EventWatch>> events;
    for (auto& [key, watch] : job_watches_) jobs.push_back(watch);
    for (auto& [key, watch] : event_watches_) events.push_back(watch);
    kick_due_ = false;
    lock.unlock();
    for (const auto& watch : jobs) watch->Kick();
    for (const auto& watch : events) watch->Kick();
    lock.lock();
  }
}

void WatchHub::Housekeeping() {
  std::vector<std::shared_ptr<JobWatch>> jobs;
  std::vector<std::shared_ptr<EventWatch>> events;
  {
    std::lock_guard lock(mutex_);
    for (auto& [key, watch] : job_watches_) jobs.push_back(watch);
    for (auto& [key, watch] : event_watches_) events.push_back(watch);
  }
  const auto keep = [&](auto& watch, const char* kind) {
    watch->AddBookmark();
    watch->Kick();
    if (watch->Stalled() < kStallLimit) return;
    metrics_.OnWatchEnd(kind, "slow_consumer");
    watch->End(SlowConsumer());
  };
  for (const auto& watch : jobs) keep(watch, "jobs");
  for (const auto& watch : events) keep(watch, "events");
}

}  // namespace ft::api
