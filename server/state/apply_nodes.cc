// What nodes do: register, fall silent, come back, delete files.
#include <algorithm>

#include "server/state/transaction.h"

namespace ft::state {
namespace {

using Verdict = wpb::RegisterWorkerResponse::Verdict;

Verdict VerdictOn(const ClusterState& state, const std::string& node_id, const wpb::RankInventory& rank) {
  Verdict verdict;
  *verdict.mutable_ref() = rank.ref();
  if (CheckFence(state, node_id, rank.ref()).ok()) {
    verdict.set_action(Verdict::ADOPT);
  } else {
    verdict.set_action(rank.state() == wpb::RANK_EXITED ? Verdict::FORGET : Verdict::KILL);
  }
  return verdict;
}

bool InInventory(const wpb::RegisterWorkerRequest& request, const std::string& job_id, int64_t epoch,
                 int32_t rank) {
  return std::any_of(request.ranks().begin(), request.ranks().end(), [&](const wpb::RankInventory& item) {
    return item.ref().job_id() == job_id && item.ref().epoch() == epoch && item.ref().rank() == rank;
  });
}

// Ranks that the node had confirmed and no longer has are positive evidence of their death. What was to be
// stopped and never came to be there will not start any more: nobody else would say so of one that has other
// ranks of the attempt.
void EndMissingRanks(Transaction& transaction, const wpb::RegisterWorkerRequest& request) {
  std::vector<AttemptPtr> here;
  transaction.base().active.ForEach([&](const AttemptPtr& attempt) { here.push_back(attempt); });
  for (const AttemptPtr& attempt : here) {
    bool lost = false;
    for (const spb::StoredRank& rank : attempt->ranks()) {
      if (rank.node_id() != request.node_id() || IsGone(rank)) continue;
      if (InInventory(request, attempt->job_id(), attempt->epoch(), rank.rank())) continue;
      const bool confirmed = rank.state() != wpb::RANK_STATE_UNSPECIFIED;
      if (!confirmed && attempt->state() != spb::StoredAttempt::STOPPING)
        continue;  // Its start is sent again.
      spb::StoredRank& row =
          *transaction.Attempt(attempt->job_id(), attempt->epoch())->mutable_ranks(rank.rank());
      lost = true;
      if (!confirmed) {
        row.set_state(wpb::RANK_NOT_STARTED);
        row.set_failure_class(pb::FailureClass_Name(pb::CONTROL_PLANE));
        row.set_message("it was stopped before it started");
        continue;
      }
      row.set_state(wpb::RANK_EXITED);
      row.set_failure_class(pb::FailureClass_Name(pb::NODE_LOST));
      row.set_message(
          StrCat("rank ", rank.rank(), " is gone: the worker on node ", request.node_id(), " was restarted"));
    }
    if (!lost) continue;
    AfterRankEnded(transaction, *transaction.Job(attempt->job_id()),
                   *transaction.Attempt(attempt->job_id(), attempt->epoch()));
  }
}

// A worker that was restarted took its ranks with it; they did not fail by themselves.
void ExcuseRanks(Transaction& transaction, const std::string& node_id) {
  std::vector<AttemptPtr> here;
  transaction.base().active.ForEach([&](const AttemptPtr& attempt) { here.push_back(attempt); });
  for (const AttemptPtr& attempt : here) {
    for (const spb::StoredRank& rank : attempt->ranks()) {
      if (rank.node_id() != node_id || rank.state() != wpb::RANK_RUNNING) continue;
      spb::StoredRank& row =
          *transaction.Attempt(attempt->job_id(), attempt->epoch())->mutable_ranks(rank.rank());
      if (row.result().state() == wpb::ResultRecord::SUCCEEDED) continue;
      row.set_failure_class(pb::FailureClass_Name(pb::NODE_LOST));
      row.set_message(StrCat("the worker on node ", node_id, " was restarted"));
    }
  }
}

void SetContactLost(Transaction& transaction, const std::string& node_id, bool lost) {
  std::vector<std::string> jobs;
  transaction.base().active.ForEach([&](const AttemptPtr& attempt) {
    for (const spb::StoredRank& rank : attempt->ranks()) {
      if (rank.node_id() == node_id) jobs.push_back(attempt->job_id());
    }
  });
  for (const std::string& job_id : jobs) transaction.Job(job_id)->mutable_job()->set_contact_lost(lost);
}

}  // namespace

void SetNodeState(Transaction& transaction, spb::StoredNode& node, pb::NodeState to,
                  const std::string& message) {
  if (node.state() == to) return;
  LogEntry entry{StrCat("nodes/", node.node_id()), StrCat("NODE_", pb::NodeState_Name(to)), message};
  entry.from = pb::NodeState_Name(node.state());
  entry.to = pb::NodeState_Name(to);
  transaction.Log(entry);
  node.set_state(to);
}

Reply OnRegister(Transaction& transaction, const RegisterNode& event) {
  const wpb::RegisterWorkerRequest& request = event.request;
  Reply reply;
  for (const wpb::RankInventory& rank : request.ranks()) {
    reply.verdicts.push_back(VerdictOn(transaction.base(), request.node_id(), rank));
  }
  const NodePtr before = transaction.base().nodes.Find(request.node_id());
  const bool restarted = before != nullptr && before->incarnation() != request.incarnation();
  if (restarted) ExcuseRanks(transaction, request.node_id());
  EndMissingRanks(transaction, request);
  spb::StoredNode* node = transaction.Node(request.node_id());
  if (node == nullptr) node = transaction.NewNode(request.node_id());
  if (node->boot_id() != request.boot_id()) node->clear_device_faults();  // Its cards were reset.
  node->set_incarnation(request.incarnation());
  node->set_boot_id(request.boot_id());
  node->set_version(request.version());
  *node->mutable_devices() = request.devices();
  *node->mutable_labels() = request.labels();
  node->set_address(request.address());
  node->set_prepare_slots(request.prepare_slots());
  const auto shared = request.labels().find("shared_dir");
  node->set_shared_dir(shared == request.labels().end() ? "" : shared->second);
  const auto runs = request.labels().find("runs_dir");
  if (runs != request.labels().end()) node->set_runs_dir(runs->second);
  *node->mutable_last_contact_time() = ToProto(transaction.now());
  node->set_draining(request.draining());
  node->set_left(false);
  SetNodeState(transaction, *node, StateInContact(*node), "registered");
  SetContactLost(transaction, request.node_id(), false);
  if (node->draining()) MoveAttemptsAway(transaction, request.node_id());
  transaction.WantSchedule();
  return reply;
}

Reply OnContact(Transaction& transaction, const std::string& node_id, bool lost) {
  const NodePtr base = transaction.base().nodes.Find(node_id);
  if (base == nullptr || base->left()) return {};
  const pb::NodeState to = lost ? pb::SUSPECT : StateInContact(*base);
  if (base->state() == to || (lost && base->state() == pb::LOST)) return {};
  spb::StoredNode& node = *transaction.Node(node_id);
  *node.mutable_last_contact_time() = ToProto(transaction.now());
  SetNodeState(transaction, node, to,
               lost ? "its lease ran out; its ranks may go on" : "its lease is renewed again");
  SetContactLost(transaction, node_id, lost);
  if (!lost) transaction.WantSchedule();
  return {};
}

Reply OnAttemptDead(Transaction& transaction, const AttemptDead& event) {
  const JobPtr base = transaction.base().jobs.Find(event.job_id);
  const AttemptPtr current = base == nullptr ? nullptr : CurrentAttempt(transaction.base(), *base);
  if (current == nullptr || current->epoch() != event.epoch || current->state() == spb::StoredAttempt::ENDED)
    return {};
  spb::StoredAttempt& attempt = *transaction.Attempt(event.job_id, event.epoch);
  bool any = false;
  for (spb::StoredRank& rank : *attempt.mutable_ranks()) {
    const bool named = std::find(event.nodes.begin(), event.nodes.end(), rank.node_id()) != event.nodes.end();
    const NodePtr node = transaction.base().nodes.Find(rank.node_id());
    // A node that came back meanwhile speaks for its ranks itself.
    const bool away =
        node == nullptr || node->left() || node->state() == pb::SUSPECT || node->state() == pb::LOST;
    if (!named || IsGone(rank) || !away) continue;
    rank.set_state(wpb::RANK_EXITED);
    rank.set_failure_class(pb::FailureClass_Name(pb::NODE_LOST));
    rank.set_message(event.message);
    any = true;
  }
  if (!any) return {};
  LogEntry entry{base->job().name(), "ATTEMPT_DEAD", event.message};
  entry.epoch = event.epoch;
  transaction.Log(entry);
  AfterRankEnded(transaction, *transaction.Job(event.job_id), attempt);
  return {};
}

Reply OnAttemptAlive(Transaction& transaction, const AttemptAlive& event) {
  const JobPtr job = transaction.base().jobs.Find(event.job_id);
  if (job == nullptr || job->job().epoch() != event.epoch || IsTerminal(job->job().state())) return {};
  LogEntry entry{job->job().name(), "ATTEMPT_ALIVE", event.message};
  entry.epoch = event.epoch;
  transaction.Log(entry);
  return {};
}

Reply OnFilesDeleted(Transaction& transaction, const FilesDeleted& event) {
  spb::StoredNode* node = transaction.Node(event.node_id);
  if (node == nullptr) return {};
  auto& deletions = *node->mutable_deletions();
  const auto same = [&](const spb::PendingDeletion& deletion) {
    return deletion.job_id() == event.files.job_id() &&
           std::equal(deletion.paths().begin(), deletion.paths().end(), event.files.paths().begin(),
                      event.files.paths().end());
  };
  const auto it = std::find_if(deletions.begin(), deletions.end(), same);
  if (it != deletions.end()) deletions.erase(it);
  return {};
}

}  // namespace ft::state
