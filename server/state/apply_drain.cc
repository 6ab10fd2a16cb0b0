// How nodes leave: cordoned, drained by a user or by their worker's own stop, lost, forgotten.
#include <algorithm>

#include "server/state/transaction.h"

namespace ft::state {
namespace {

constexpr absl::Duration kForgetAfter = absl::Hours(24);

bool HasRankOn(const spb::StoredAttempt& attempt, const std::string& node_id) {
  return std::any_of(attempt.ranks().begin(), attempt.ranks().end(),
                     [&](const spb::StoredRank& rank) { return rank.node_id() == node_id && !IsGone(rank); });
}

bool HoldsRanks(const ClusterState& state, const std::string& node_id) {
  bool holds = false;
  state.active.ForEach([&](const AttemptPtr& attempt) { holds = holds || HasRankOn(*attempt, node_id); });
  return holds;
}

bool IsReadyElsewhere(const ClusterState& state, const std::string& node_id) {
  bool ready = false;
  state.nodes.ForEach([&](const NodePtr& node) {
    ready = ready || (node->node_id() != node_id && node->state() == pb::READY);
  });
  return ready;
}

void Drain(Transaction& transaction, const std::string& node_id) {
  MoveAttemptsAway(transaction, node_id);
  // With nowhere else to go, what is prepared waits for the node to come back.
  if (IsReadyElsewhere(transaction.base(), node_id)) PrepareElsewhere(transaction, node_id, "is draining");
}

Reply Remove(Transaction& transaction, const ChangeNode& event) {
  if (event.in_contact || HoldsRanks(transaction.base(), event.node_id)) {
    return Refuse(absl::FailedPreconditionError(StrCat(
                      "node ", event.node_id, event.in_contact ? " is in contact" : " may still run ranks",
                      ": drain it, stop its worker, and remove it then")),
                  pb::NODE_IN_CONTACT);
  }
  LogEntry entry{StrCat("nodes/", event.node_id), "NODE_REMOVED", "removed by request", event.caller.actor};
  entry.request_id = event.caller.request_id;
  transaction.Log(entry);
  transaction.DropNode(event.node_id);
  transaction.AddRequest(event.caller, "");
  return {};
}

}  // namespace

pb::NodeState StateInContact(const spb::StoredNode& node) {
  if (node.draining() || node.availability() == spb::StoredNode::DRAINED) return pb::DRAINING;
  return node.availability() == spb::StoredNode::CORDONED ? pb::CORDONED : pb::READY;
}

void PrepareElsewhere(Transaction& transaction, const std::string& node_id, const std::string& why) {
  std::vector<std::string> jobs;
  transaction.base().waiting.ForEach([&](const JobPtr& job) {
    const bool bound = job->prepared_node() == node_id && job->resume_node().empty();
    const AttemptPtr attempt = CurrentAttempt(transaction.base(), *job);
    const bool waits = job->job().state() == pb::QUEUED || (job->job().state() == pb::RECOVERING &&
                                                            attempt->state() == spb::StoredAttempt::ENDED);
    if (bound && waits) jobs.push_back(job->job_id());
  });
  for (const std::string& id : jobs) {
    spb::StoredJob& job = *transaction.Job(id);
    job.clear_prepared_cache();
    job.clear_prepared_node();
    SetJobState(transaction, job, pb::PREPARING,
                StrCat("preparing again: its data is on node ", node_id, ", which ", why));
  }
}

void MoveAttemptsAway(Transaction& transaction, const std::string& node_id) {
  std::vector<AttemptPtr> here;
  transaction.base().active.ForEach([&](const AttemptPtr& attempt) {
    if (HasRankOn(*attempt, node_id) && attempt->state() != spb::StoredAttempt::STOPPING)
      here.push_back(attempt);
  });
  for (const AttemptPtr& base : here) {
    spb::StoredAttempt& attempt = *transaction.Attempt(base->job_id(), base->epoch());
    // What this transition has already begun to stop, stops for its own reason.
    if (attempt.state() == spb::StoredAttempt::STOPPING || attempt.state() == spb::StoredAttempt::ENDED)
      continue;
    attempt.set_preempted_for(StrCat("node ", node_id, " is draining"));
    spb::StoredJob& job = *transaction.Job(base->job_id());
    job.mutable_job()->set_state_message(StrCat("stopping to go on elsewhere: ", attempt.preempted_for()));
    LogEntry entry{job.job().name(), "ATTEMPT_PREEMPTED", attempt.preempted_for()};
    entry.epoch = attempt.epoch();
    transaction.Log(entry);
    StopAttempt(transaction, attempt, /*with_checkpoint=*/attempt.kind() == wpb::TRAIN);
  }
}

Reply OnNodeDraining(Transaction& transaction, const std::string& node_id) {
  const NodePtr base = transaction.base().nodes.Find(node_id);
  if (base == nullptr || base->draining()) return {};
  spb::StoredNode& node = *transaction.Node(node_id);
  node.set_draining(true);
  SetNodeState(transaction, node, StateInContact(node), "its worker was asked to stop");
  Drain(transaction, node_id);
  return {};
}

Reply OnNodeLeft(Transaction& transaction, const std::string& node_id) {
  const NodePtr base = transaction.base().nodes.Find(node_id);
  if (base == nullptr || base->left()) return {};
  spb::StoredNode& node = *transaction.Node(node_id);
  node.set_left(true);
  node.set_draining(true);
  *node.mutable_last_contact_time() = ToProto(transaction.now());
  SetNodeState(transaction, node, pb::DRAINING, "its worker was asked to stop");
  transaction.Log({StrCat("nodes/", node_id), "NODE_LEFT", "its worker has delivered everything and ended"});
  return {};
}

Reply OnChangeNode(Transaction& transaction, const ChangeNode& event) {
  if (auto replayed = Replay(transaction, event.caller)) return *replayed;
  const NodePtr base = transaction.base().nodes.Find(event.node_id);
  if (base == nullptr) {
    return Refuse(
        absl::NotFoundError(StrCat("there is no node '", event.node_id, "': ftctl nodes shows all nodes")),
        pb::NODE_NOT_FOUND);
  }
  if (event.what == ChangeNode::What::kRemove) return Remove(transaction, event);
  transaction.AddRequest(event.caller, "");
  spb::StoredNode& node = *transaction.Node(event.node_id);
  const bool away = node.state() == pb::SUSPECT || node.state() == pb::LOST;
  switch (event.what) {
    case ChangeNode::What::kCordon:
      // A node that drains is cordoned already.
      if (node.availability() == spb::StoredNode::AVAILABLE) node.set_availability(spb::StoredNode::CORDONED);
      break;
    case ChangeNode::What::kDrain: node.set_availability(spb::StoredNode::DRAINED); break;
    default:
      node.set_availability(spb::StoredNode::AVAILABLE);
      node.clear_device_faults();
      break;
  }
  if (!away)
    SetNodeState(transaction, node, StateInContact(node), StrCat("asked for by ", event.caller.actor));
  if (event.what == ChangeNode::What::kDrain) Drain(transaction, event.node_id);
  transaction.WantSchedule();
  return {};
}

Reply OnUnreachable(Transaction& transaction, const std::string& node_id) {
  PrepareElsewhere(transaction, node_id, "is out of contact");
  const NodePtr base = transaction.base().nodes.Find(node_id);
  if (base == nullptr || base->state() != pb::SUSPECT) return {};
  SetNodeState(transaction, *transaction.Node(node_id), pb::LOST, "out of contact for the node loss timeout");
  return {};
}

Reply OnForgetNodes(Transaction& transaction) {
  std::vector<std::string> forgotten;
  transaction.base().nodes.ForEach([&](const NodePtr& node) {
    const bool away = node->state() == pb::LOST || node->left();
    if (!away || transaction.now() - FromProto(node->last_contact_time()) < kForgetAfter) return;
    if (!HoldsRanks(transaction.base(), node->node_id())) forgotten.push_back(node->node_id());
  });
  for (const std::string& id : forgotten) {
    transaction.Log({StrCat("nodes/", id), "NODE_REMOVED", "out of contact for a day"});
    transaction.DropNode(id);
  }
  return {};
}

}  // namespace ft::state
