#include "server/state/state_loop.h"

#include <pthread.h>
#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>
#include <chrono>

#include "core/rpc/errors.h"

namespace ft::state {
namespace {

constexpr size_t kGroupLimit = 512;

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

void StateLoop::Start() {
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
  boost::asio::post(context_, [this] {
    schedule_posted_ = false;
    inbox_.fetch_add(1);
    Decide(SchedulePass{}, nullptr);
  });
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
  wake_.wait(lock, [this] { return stop_ || !queue_.empty(); });
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
    if (group.empty()) return;
    Commit(group);
    inbox_.fetch_sub(group.size());
  }
}

Status StateLoop::StoreGroup(const std::deque<Item>& group) {
  std::vector<const Changes*> changes;
  for (const Item& item : group) {
    if (!item.transition.changes.empty()) changes.push_back(&item.transition.changes);
  }
  if (changes.empty()) return absl::OkStatus();
  const auto start = std::chrono::steady_clock::now();
  Status status = store_.WriteGroup(changes);
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
      inbox_.fetch_sub(1);
      RefuseGroup(stale, refused);
    }
    if (group.empty()) return;
  }
  const Status status = StoreGroup(group);
  if (status.ok()) {
    Release(group);
    return;
  }
  if (stats_.on_store_error) stats_.on_store_error(absl::StatusCodeToString(status.code()));
  if (!absl::IsResourceExhausted(status)) {
    spdlog::critical("cannot write the store, stopping at once: {}", std::string(Message(status)));
    spdlog::shutdown();
    std::abort();
  }
  spdlog::error("{}; mutations are refused until there is space", std::string(Message(status)));
  const int64_t generation = ++writer_generation_;
  boost::asio::post(context_, [this, generation, snapshot = published()] {
    working_ = *snapshot;
    generation_ = generation;
  });
  RefuseGroup(group, refused);
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
