#include "server/state/transaction.h"

namespace ft::state {
namespace {

template <typename T, typename Map>
T* MutableRow(Map& edited, const CowMap<T>& rows, const std::string& key) {
  const auto it = edited.find(key);
  if (it != edited.end()) return it->second.get();
  const auto row = rows.Find(key);
  if (row == nullptr) return nullptr;
  return edited.emplace(key, std::make_shared<T>(*row)).first->second.get();
}

}  // namespace

spb::StoredJob* Transaction::Job(const std::string& job_id) { return MutableRow(jobs_, next_.jobs, job_id); }

spb::StoredConfig* Transaction::Config(const std::string& job_id) {
  return MutableRow(configs_, next_.configs, job_id);
}

spb::StoredAttempt* Transaction::Attempt(const std::string& job_id, int64_t epoch) {
  return MutableRow(attempts_, next_.attempts, AttemptKey(job_id, epoch));
}

spb::StoredNode* Transaction::Node(const std::string& node_id) {
  return MutableRow(nodes_, next_.nodes, node_id);
}

spb::StoredJob* Transaction::NewJob(const spb::StoredJob& row) {
  auto& slot = jobs_[row.job_id()];
  slot = std::make_shared<spb::StoredJob>(row);
  return slot.get();
}

spb::StoredAttempt* Transaction::NewAttempt(const std::string& job_id, int64_t epoch) {
  auto& slot = attempts_[AttemptKey(job_id, epoch)];
  slot = std::make_shared<spb::StoredAttempt>();
  slot->set_job_id(job_id);
  slot->set_epoch(epoch);
  return slot.get();
}

spb::StoredNode* Transaction::NewNode(const std::string& node_id) {
  auto& slot = nodes_[node_id];
  slot = std::make_shared<spb::StoredNode>();
  slot->set_node_id(node_id);
  return slot.get();
}

void Transaction::AddCheckpoint(const spb::StoredCheckpoint& row) {
  changes_.checkpoints.push_back(std::make_shared<spb::StoredCheckpoint>(row));
}

void Transaction::AddRequest(const Caller& caller, const std::string& job_id) {
  if (caller.request_id.empty()) return;
  auto row = std::make_shared<spb::StoredRequest>();
  row->set_request_id(caller.request_id);
  row->set_method(caller.method);
  row->set_request_sha256(caller.request_sha256);
  row->set_job_id(job_id);
  *row->mutable_time() = ToProto(now_);
  changes_.requests.push_back(std::move(row));
}

void Transaction::Log(const LogEntry& entry) {
  pb::Event event;
  *event.mutable_time() = ToProto(now_);
  event.set_subject(entry.subject);
  event.set_type(entry.type);
  event.set_actor(entry.actor);
  event.set_request_id(entry.request_id);
  event.set_epoch(entry.epoch);
  event.set_from_state(entry.from);
  event.set_to_state(entry.to);
  event.set_message(entry.message);
  changes_.events.push_back(std::move(event));
}

Transition Transaction::Finish(Reply reply) {
  for (auto& [key, row] : jobs_) changes_.jobs.push_back(row);
  for (auto& [key, row] : configs_) changes_.configs.push_back(row);
  for (auto& [key, row] : attempts_) changes_.attempts.push_back(row);
  for (auto& [key, row] : nodes_) changes_.nodes.push_back(row);
  changes_.revision = next_.revision;
  changes_.only_progress = progress_ && changes_.events.empty();
  if (!changes_.empty()) {
    for (pb::Event& event : changes_.events) event.set_revision(++changes_.revision);
    if (changes_.events.empty()) ++changes_.revision;
    for (auto& [key, row] : jobs_) {
      row->set_revision(changes_.revision);
      if (row->order() == 0) row->set_order(changes_.revision);
      row->mutable_job()->set_etag(std::to_string(changes_.revision));
    }
    Install(changes_, next_);
  }
  return {std::move(next_), std::move(changes_), std::move(reply), std::move(commands_), schedule_};
}

}  // namespace ft::state
