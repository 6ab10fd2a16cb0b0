#include "server/state/apply.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/rpc/errors.h"
#include "server/state/transaction.h"

namespace ft::state {
namespace {

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

constexpr int64_t kKillGraceMillis = 10'000;
constexpr int64_t kCheckpointGraceMillis = 600'000;
constexpr char kLocalHost[] = "127.0.0.1";  // The address of agents that told none.

// A gang of one node meets below its attempt's folder, one of several at rank 0's node.
wpb::Rendezvous RendezvousOf(const ClusterState& state, const spb::StoredAttempt& attempt) {
  wpb::Rendezvous rendezvous;
  if (NodesOf(attempt).size() == 1) {
    rendezvous.set_store("file");
    rendezvous.set_path("rendezvous");
    return rendezvous;
  }
  const NodePtr node = state.nodes.Find(attempt.ranks(0).node_id());
  rendezvous.set_store("tcp");
  rendezvous.set_host(node == nullptr || node->address().empty() ? kLocalHost : node->address());
  return rendezvous;
}

}  // namespace

Transition Apply(const ClusterState& state, const Event& event, absl::Time now) {
  Transaction transaction(state, now);
  Reply reply = std::visit(
      Overloaded{
          [&](const CreateJob& e) { return OnCreate(transaction, e); },
          [&](const CancelJob& e) { return OnCancel(transaction, e); },
          [&](const PauseJob& e) { return OnPause(transaction, e); },
          [&](const ResumeJob& e) { return OnResume(transaction, e); },
          [&](const DeleteJob& e) { return OnDelete(transaction, e); },
          [&](const RegisterNode& e) { return OnRegister(transaction, e); },
          [&](const NodeContactLost& e) { return OnContact(transaction, e.node_id, /*lost=*/true); },
          [&](const NodeContactRegained& e) { return OnContact(transaction, e.node_id, /*lost=*/false); },
          [&](const NodeUnreachable& e) { return OnUnreachable(transaction, e.node_id); },
          [&](const NodeDraining& e) { return OnNodeDraining(transaction, e.node_id); },
          [&](const NodeLeft& e) { return OnNodeLeft(transaction, e.node_id); },
          [&](const ChangeNode& e) { return OnChangeNode(transaction, e); },
          [&](const ForgetNodes&) { return OnForgetNodes(transaction); },
          [&](const AttemptDead& e) { return OnAttemptDead(transaction, e); },
          [&](const AttemptAlive& e) { return OnAttemptAlive(transaction, e); },
          [&](const GangWaits& e) { return OnGangWaits(transaction, e); },
          [&](const RankReport& e) { return OnRankReport(transaction, e); },
          [&](const RecordsArrived& e) { return OnRecords(transaction, e); },
          [&](const CheckpointWritten& e) { return OnCheckpoint(transaction, e); },
          [&](const StopFoundNothing& e) { return OnStopFoundNothing(transaction, e); },
          [&](const FilesDeleted& e) { return OnFilesDeleted(transaction, e); },
          [&](const SchedulePass&) { return OnSchedule(transaction); },
          [&](const PruneRequests&) { return OnPrune(transaction); },
      },
      event);
  return transaction.Finish(std::move(reply));
}

bool IsLegal(pb::JobState from, pb::JobState to) {
  if (IsTerminal(from) || from == to) return false;
  switch (from) {
    case pb::PREPARING:
      return to == pb::QUEUED || to == pb::PAUSING || to == pb::PAUSED || to == pb::CANCELLING ||
             to == pb::CANCELLED || to == pb::FAILED;
    case pb::QUEUED:
      return to == pb::STARTING || to == pb::PREPARING || to == pb::PAUSED || to == pb::CANCELLED;
    case pb::STARTING:
      return to == pb::RUNNING || to == pb::RECOVERING || to == pb::QUEUED || to == pb::PAUSING ||
             to == pb::CANCELLING || to == pb::SUCCEEDED || to == pb::FAILED;
    case pb::RUNNING:
      return to == pb::RECOVERING || to == pb::QUEUED || to == pb::PAUSING || to == pb::CANCELLING ||
             to == pb::SUCCEEDED || to == pb::FAILED;
    case pb::RECOVERING:
      return to == pb::STARTING || to == pb::PAUSING || to == pb::PAUSED || to == pb::CANCELLING ||
             to == pb::CANCELLED || to == pb::FAILED || to == pb::SUCCEEDED || to == pb::PREPARING;
    case pb::PAUSING:
      return to == pb::PAUSED || to == pb::CANCELLING || to == pb::SUCCEEDED || to == pb::FAILED;
    case pb::PAUSED: return to == pb::QUEUED || to == pb::PREPARING || to == pb::CANCELLED;
    case pb::CANCELLING: return to == pb::CANCELLED;
    default: return from == pb::JOB_STATE_UNSPECIFIED && to == pb::PREPARING;
  }
}

void SetJobState(Transaction& transaction, spb::StoredJob& row, pb::JobState to, const std::string& message,
                 const std::string& actor) {
  pb::Job& job = *row.mutable_job();
  const pb::JobState from = job.state();
  FT_CHECK(IsLegal(from, to)) << job.name() << " " << pb::JobState_Name(from) << " -> "
                              << pb::JobState_Name(to);
  job.set_state(to);
  job.set_state_message(message);
  if (to == pb::RUNNING && !job.has_start_time()) *job.mutable_start_time() = ToProto(transaction.now());
  if (IsTerminal(to)) {
    *job.mutable_end_time() = ToProto(transaction.now());
    job.set_contact_lost(false);
    row.clear_hub_tokens();  // Nothing is downloaded for it any more.
  }
  if (to == pb::QUEUED || to == pb::PREPARING || to == pb::RECOVERING)
    *row.mutable_queue_time() = ToProto(transaction.now());
  LogEntry entry{job.name(), "JOB_STATE", message, actor};
  entry.epoch = job.epoch();
  entry.from = pb::JobState_Name(from);
  entry.to = pb::JobState_Name(to);
  transaction.Log(entry);
  transaction.WantSchedule();
}

wpb::Command StartCommand(const ClusterState& state, const spb::StoredJob& job,
                          const spb::StoredAttempt& attempt, const std::string& node_id) {
  wpb::Command command;
  wpb::StartRanks& start = *command.mutable_start_ranks();
  start.set_job_id(attempt.job_id());
  start.set_epoch(attempt.epoch());
  start.set_kind(attempt.kind());
  for (const spb::StoredRank& rank : attempt.ranks()) {
    if (rank.node_id() != node_id) continue;
    start.add_ranks_on_node(rank.rank());
    if (rank.state() != wpb::RANK_STATE_UNSPECIFIED) continue;
    start.add_ranks(rank.rank());
    for (const std::string& uuid : rank.device_uuids()) start.add_device_uuids(uuid);
  }
  start.set_world_size(attempt.ranks_size());
  if (attempt.ranks_size() > 1) *start.mutable_rendezvous() = RendezvousOf(state, attempt);
  const ConfigPtr config = state.configs.Find(attempt.job_id());
  if (config != nullptr) start.set_job_json(config->resolved_config_json());
  start.set_resume_step(attempt.resume_step());
  start.set_resume_path(attempt.resume_path());
  start.set_threads(attempt.threads());
  start.set_job_created(job.job().create_time().seconds());
  for (const std::string& root : state.policy.roots) start.add_roots(root);
  if (job.has_hub_tokens()) *start.mutable_hub_tokens() = job.hub_tokens();
  if (attempt.kind() == wpb::TRAIN) {
    start.set_prunes(true);
    for (const CheckpointPtr& row : state.checkpoints.Under(attempt.job_id())) {
      start.add_committed_checkpoints(row->checkpoint().path());
      start.add_committed_manifests(row->checkpoint().manifest_sha256());
    }
    start.set_prepared_cache(job.prepared_cache());
    start.set_prepared_sha256(job.job().prepared().cache_sha256());
  }
  return command;
}

wpb::Command RendezvousCommand(const spb::StoredAttempt& attempt) {
  wpb::Command command;
  wpb::SetRendezvous& set = *command.mutable_set_rendezvous();
  set.set_job_id(attempt.job_id());
  set.set_epoch(attempt.epoch());
  set.set_address(attempt.rendezvous_address());
  return command;
}

std::vector<std::string> NodesOf(const spb::StoredAttempt& attempt) {
  std::vector<std::string> nodes;
  for (const spb::StoredRank& rank : attempt.ranks()) {
    if (std::find(nodes.begin(), nodes.end(), rank.node_id()) == nodes.end()) nodes.push_back(rank.node_id());
  }
  return nodes;
}

wpb::Command StopCommand(const spb::StoredAttempt& attempt) {
  wpb::Command command;
  wpb::StopRanks& stop = *command.mutable_stop_ranks();
  stop.set_job_id(attempt.job_id());
  stop.set_epoch(attempt.epoch());
  stop.set_checkpoint(attempt.stop_with_checkpoint());
  stop.set_grace_millis(attempt.stop_with_checkpoint() ? kCheckpointGraceMillis : kKillGraceMillis);
  return command;
}

void StopAttempt(Transaction& transaction, spb::StoredAttempt& attempt, bool with_checkpoint) {
  attempt.set_state(spb::StoredAttempt::STOPPING);
  attempt.set_stop_with_checkpoint(with_checkpoint);
  for (const std::string& node_id : NodesOf(attempt)) transaction.Send(node_id, StopCommand(attempt));
}

std::vector<NodeCommand> OutstandingCommands(const ClusterState& state, const std::string& node_id) {
  std::vector<NodeCommand> commands;
  state.active.ForEach([&](const AttemptPtr& attempt) {
    bool here = false, unconfirmed = false;
    for (const spb::StoredRank& rank : attempt->ranks()) {
      if (rank.node_id() != node_id) continue;
      here = here || rank.state() != wpb::RANK_EXITED;
      unconfirmed = unconfirmed || rank.state() == wpb::RANK_STATE_UNSPECIFIED;
    }
    const JobPtr job = state.jobs.Find(attempt->job_id());
    if (!here || job == nullptr) return;
    if (attempt->state() == spb::StoredAttempt::STOPPING) {
      commands.push_back({node_id, StopCommand(*attempt)});
      return;
    }
    if (unconfirmed) commands.push_back({node_id, StartCommand(state, *job, *attempt, node_id)});
    if (!attempt->rendezvous_address().empty()) commands.push_back({node_id, RendezvousCommand(*attempt)});
  });
  if (const NodePtr node = state.nodes.Find(node_id)) {
    for (const spb::PendingDeletion& deletion : node->deletions()) {
      wpb::Command command;
      command.mutable_delete_files()->set_job_id(deletion.job_id());
      *command.mutable_delete_files()->mutable_paths() = deletion.paths();
      commands.push_back({node_id, std::move(command)});
    }
  }
  return commands;
}

Status CheckFence(const ClusterState& state, const std::string& node_id, const wpb::RankRef& ref) {
  const JobPtr job = state.jobs.Find(ref.job_id());
  const AttemptPtr attempt = job == nullptr ? nullptr : CurrentAttempt(state, *job);
  const bool current = attempt != nullptr && attempt->epoch() == ref.epoch() &&
                       attempt->state() != spb::StoredAttempt::ENDED && ref.rank() >= 0 &&
                       ref.rank() < attempt->ranks_size() && attempt->ranks(ref.rank()).node_id() == node_id;
  if (current) return absl::OkStatus();
  return rpc::WithReason(
      absl::FailedPreconditionError(StrCat("job ", ref.job_id(), " has no running attempt ", ref.epoch(),
                                           " with rank ", ref.rank(), " on node ", node_id)),
      pb::STALE_EPOCH);
}

int CoresAllocated(const ClusterState& state, const std::string& node_id) {
  int cores = 0;
  state.active.ForEach([&](const AttemptPtr& attempt) {
    if (attempt->kind() != wpb::TRAIN) return;
    for (const spb::StoredRank& rank : attempt->ranks()) {
      if (rank.node_id() == node_id) cores += attempt->threads();
    }
  });
  return cores;
}

}  // namespace ft::state
