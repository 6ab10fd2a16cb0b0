#include "server/state/state_loop.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>

#include "core/rpc/errors.h"

namespace ft::state {
namespace {

constexpr size_t kGroupLimit = 512;
constexpr std::chrono::seconds kTurn{1};
constexpr std::chrono::milliseconds kPassPause{20};
constexpr std::chrono::seconds kStoreProgress{1};
constexpr int64_t kReservedRevisions = 4096;

Status InboxFull() {
  return rpc::WithReason(absl::ResourceExhaustedError(StrCat("the coordinator has ", StateLoop::kInboxLimit,
                                                             " requests waiting: retry in a second")),
                         pb::INBOX_FULL);
}

}  // namespace

StateLoop::StateLoop(Store& store, const Clock& clock, ClusterState initial)
    : store_(store),
      clock_(clock),
      working_(initial),
      published_(std::make_shared<ClusterState>(std::move(initial))) {}

void StateLoop::Turn() {
  loop_turned_.Turn(clock_.BootTime());
  turn_timer_.expires_after(kTurn);
  turn_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) Turn();
  });
}

void StateLoop::Start() {
  writer_turned_.Turn(clock_.BootTime());
  boost::asio::post(context_, [this] { Turn(); });
  loop_thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "state-loop");
    context_.run();
  });
  writer_thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "writer");
    WriterMain();
  });
}

void StateLoop::Stop() {
  if (!loop_thread_.joinable()) return;
  work_.reset();
  boost::asio::post(context_, [this] { context_.stop(); });
  loop_thread_.join();
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  writer_thread_.join();
}

Status StateLoop::Post(Event event, Done done) {
  if (inbox_.fetch_add(1) >= kInboxLimit) {
    inbox_.fetch_sub(1);
    return InboxFull();
  }
  boost::asio::post(context_, [this, event = std::move(event), done = std::move(done)]() mutable {
    Decide(std::move(event), std::move(done));
  });
  return absl::OkStatus();
}

Status StateLoop::Read(std::function<void(Store&)> read) {
  if (inbox_.fetch_add(1) >= kInboxLimit) {
    inbox_.fetch_sub(1);
    return InboxFull();
  }
  boost::asio::post(context_, [this, read = std::move(read)]() mutable {
    Item item;
    item.read = std::move(read);
    Enqueue(std::move(item));
  });
  return absl::OkStatus();
}

Snapshot StateLoop::published() const {
  std::lock_guard lock(mutex_);
  return published_;
}

void StateLoop::Decide(Event event, Done done) {
  Item item;
  item.transition = Apply(working_, event, clock_.Now());
  item.done = std::move(done);
  if (!item.transition.changes.empty()) working_ = item.transition.next;
  const bool schedule = item.transition.schedule;
  Enqueue(std::move(item));
  if (schedule) ScheduleSoon();
}

// One pass for all events that are already waiting: it is posted behind them.
void StateLoop::ScheduleSoon() {
  if (schedule_posted_) return;
  schedule_posted_ = true;
  if (std::chrono::steady_clock::now() >= next_pass_) {
    boost::asio::post(context_, [this] { Pass(); });
    return;
  }
  pass_timer_.expires_at(next_pass_);
  pass_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) Pass();
  });
}

// Passes take at most a fifth of this thread's time.
void StateLoop::Pass() {
  schedule_posted_ = false;
  inbox_.fetch_add(1);
  const auto start = std::chrono::steady_clock::now();
  Decide(SchedulePass{}, nullptr);
  const auto end = std::chrono::steady_clock::now();
  next_pass_ = end + std::max<std::chrono::steady_clock::duration>(kPassPause, 4 * (end - start));
}

void StateLoop::Enqueue(Item item) {
  item.generation = generation_;
  {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(item));
  }
  wake_.notify_one();
}

std::deque<StateLoop::Item> StateLoop::NextGroup() {
  std::unique_lock lock(mutex_);
  writer_turned_.Turn(clock_.BootTime());
  wake_.wait_for(lock, kTurn, [this] { return stop_ || !queue_.empty(); });
  std::deque<Item> group;
  while (!queue_.empty() && group.size() < kGroupLimit) {
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return group;
}

void StateLoop::WriterMain() {
  while (true) {
    std::deque<Item> group = NextGroup();
    if (!group.empty()) {
      const size_t size = group.size();
      Commit(group);
      inbox_.fetch_sub(size);
    }
    bool stop;
    {
      std::lock_guard lock(mutex_);
      stop = stop_ && queue_.empty();
    }
    if (const Status stored = StoreProgress(/*all=*/stop); !stored.ok()) OnStoreError(stored);
    if (stop) return;
  }
}

Status StateLoop::StoreProgress(bool all) {
  const auto now = std::chrono::steady_clock::now();
  const int64_t revision = published()->revision;
  const bool limit_stands = all ? revision_limit_ == revision : true;
  if (progress_jobs_.empty() && progress_attempts_.empty() && limit_stands) return absl::OkStatus();
  if (!all && now - progress_stored_ < kStoreProgress) return absl::OkStatus();
  progress_stored_ = now;
  Changes changes;
  changes.revision = revision;
  for (const auto& [key, row] : progress_jobs_) changes.jobs.push_back(row);
  for (const auto& [key, row] : progress_attempts_) changes.attempts.push_back(row);
  const Changes* const group[] = {&changes};
  RETURN_IF_ERROR(
      store_.WriteGroup(group, all ? revision : std::max(revision_limit_, revision + kReservedRevisions)));
  revision_limit_ = all ? revision : std::max(revision_limit_, revision + kReservedRevisions);
  progress_jobs_.clear();
  progress_attempts_.clear();
  return absl::OkStatus();
}

void StateLoop::OnStoreError(const Status& status) {
  if (stats_.on_store_error) stats_.on_store_error(absl::StatusCodeToString(status.code()));
  if (absl::IsResourceExhausted(status)) return;
  spdlog::critical("cannot write the store, stopping at once: {}", std::string(Message(status)));
  spdlog::shutdown();
  std::abort();
}

Status StateLoop::StoreGroup(const std::deque<Item>& group) {
  std::vector<const Changes*> changes;
  int64_t revision = 0;
  for (const Item& item : group) {
    if (item.transition.changes.empty()) continue;
    revision = item.transition.changes.revision;
    if (!item.transition.changes.only_progress) changes.push_back(&item.transition.changes);
  }
  if (changes.empty() && revision <= revision_limit_) return absl::OkStatus();
  const int64_t limit = revision <= revision_limit_ ? revision_limit_ : revision + kReservedRevisions;
  const auto start = std::chrono::steady_clock::now();
  Status status = store_.WriteGroup(changes, limit);
  if (status.ok()) revision_limit_ = limit;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  if (stats_.on_commit) stats_.on_commit(took.count(), changes.size());
  return status;
}

void StateLoop::Commit(std::deque<Item>& group) {
  const Status refused = rpc::WithReason(
      absl::ResourceExhaustedError("the coordinator's disk is full: free space in its data folder and retry"),
      pb::STORE_FULL);
  if (group.front().generation != writer_generation_ || group.back().generation != writer_generation_) {
    // Decided on a state that was dropped.
    while (!group.empty() && group.front().generation < writer_generation_) {
      std::deque<Item> stale;
      stale.push_back(std::move(group.front()));
      group.pop_front();
      RefuseGroup(stale, refused);
    }
    if (group.empty()) return;
  }
  // Stored first, told second: no reply, watch or command leaves the process before the disk has what it says.
  const Status status = StoreGroup(group);
  if (status.ok()) {
    Release(group);
    return;
  }
  OnStoreError(status);
  spdlog::error("{}; mutations are refused until there is space", std::string(Message(status)));
  // What the loop decided since rests on events that are not stored. It goes back to the state that is, and the number marks
  // groups that were decided before it did.
  const int64_t generation = ++writer_generation_;
  boost::asio::post(context_, [this, generation, snapshot = published()] {
    working_ = *snapshot;
    generation_ = generation;
  });
  RefuseGroup(group, refused);
}

// A row that was stored whole needs no storing of its progress before it.
void StateLoop::KeepProgress(const Changes& changes) {
  for (const JobPtr& job : changes.jobs) {
    if (changes.only_progress) {
      progress_jobs_[job->job_id()] = job;
    } else {
      progress_jobs_.erase(job->job_id());
    }
  }
  for (const AttemptPtr& attempt : changes.attempts) {
    const std::string key = AttemptKey(attempt->job_id(), attempt->epoch());
    if (changes.only_progress) {
      progress_attempts_[key] = attempt;
    } else {
      progress_attempts_.erase(key);
    }
  }
  for (const JobPtr& job : changes.deleted_jobs) progress_jobs_.erase(job->job_id());
  if (changes.deleted_jobs.empty()) return;
  std::erase_if(progress_attempts_, [&](const auto& item) {
    return std::any_of(changes.deleted_jobs.begin(), changes.deleted_jobs.end(),
                       [&](const JobPtr& job) { return job->job_id() == item.second->job_id(); });
  });
}

void StateLoop::RefuseGroup(std::deque<Item>& group, const Status& why) {
  for (Item& item : group) {
    if (item.read) {
      item.read(store_);
    } else if (item.done) {
      Reply reply = std::move(item.transition.reply);
      if (reply.status.ok()) reply.status = why;
      item.done(reply, published());
    }
  }
}

void StateLoop::Release(std::deque<Item>& group) {
  Committed committed;
  for (auto it = group.rbegin(); it != group.rend() && committed.snapshot == nullptr; ++it) {
    if (!it->transition.changes.empty())
      committed.snapshot = std::make_shared<ClusterState>(it->transition.next);
  }
  if (committed.snapshot != nullptr) {
    std::lock_guard lock(mutex_);
    published_ = committed.snapshot;
  }
  const Snapshot snapshot = published();
  for (Item& item : group) {
    if (item.transition.changes.empty()) continue;
    KeepProgress(item.transition.changes);
    if (stats_.on_changes) stats_.on_changes(item.transition.changes);
    committed.changes.push_back(std::move(item.transition.changes));
  }
  // Before the replies, so that a watch begun after a reply has seen what was replied.
  if (committed.snapshot != nullptr) on_committed_(committed);
  for (Item& item : group) {
    if (item.read) item.read(store_);
    if (!item.transition.commands.empty()) on_commands_(item.transition.commands);
    if (item.done) item.done(item.transition.reply, snapshot);
  }
}

}  // namespace ft::state
