// What users ask: create, cancel, pause, resume, delete; and the scheduling pass.
#include <algorithm>
#include <map>
#include <optional>

#include "core/rpc/errors.h"
#include "server/schedule/place.h"
#include "server/state/capacity.h"
#include "server/state/device_faults.h"
#include "server/state/transaction.h"

namespace ft::state {
namespace {

Reply Done(const std::string& job_id) { return {absl::OkStatus(), job_id, {}, 0}; }

// The job a request names, to change; or the refusal.
struct Found {
  spb::StoredJob* job = nullptr;
  Reply refusal;
};

Found FindToEdit(Transaction& transaction, const std::string& name) {
  const JobPtr job = FindJob(transaction.base(), name);
  if (job == nullptr) {
    return {nullptr,
            Refuse(absl::NotFoundError(StrCat("there is no job '", name, "': ftctl list shows all jobs")),
                   pb::JOB_NOT_FOUND)};
  }
  return {transaction.Job(job->job_id()), {}};
}

// The attempt that still has ranks, or null.
spb::StoredAttempt* ActiveAttempt(Transaction& transaction, const spb::StoredJob& job) {
  const AttemptPtr attempt = CurrentAttempt(transaction.base(), job);
  if (attempt == nullptr || attempt->state() == spb::StoredAttempt::ENDED) return nullptr;
  return transaction.Attempt(attempt->job_id(), attempt->epoch());
}

// The first training attempt fixes what the job's arithmetic takes from its place.
void FixNumerics(const spb::StoredAttempt& attempt, const ClusterState& state, spb::StoredJob& job) {
  if (job.has_numerics()) return;
  job.mutable_numerics()->set_threads(attempt.threads());
  const spb::StoredRank& first = attempt.ranks(0);
  const NodePtr node = state.nodes.Find(first.node_id());
  if (node == nullptr) return;
  const std::string uuid = first.device_uuids_size() > 0 ? first.device_uuids(0) : "";
  for (const pb::Device& device : node->devices()) {
    if (uuid.empty() ? device.kind() == "cpu" : device.uuid() == uuid)
      job.mutable_numerics()->set_device_arch(device.arch());
  }
}

void StartAttempt(Transaction& transaction, const schedule::Assignment& assignment) {
  spb::StoredJob& job = *transaction.Job(assignment.job_id);
  const bool prepare = job.job().state() == pb::PREPARING;
  const int64_t epoch = job.job().epoch() + 1;
  job.mutable_job()->set_epoch(epoch);
  job.clear_queue_reason();
  job.clear_not_before();
  spb::StoredAttempt& attempt = *transaction.NewAttempt(job.job_id(), epoch);
  attempt.set_kind(prepare ? wpb::PREPARE : wpb::TRAIN);
  attempt.set_state(spb::StoredAttempt::ALLOCATED);
  attempt.set_threads(assignment.threads);
  *attempt.mutable_create_time() = ToProto(transaction.now());
  if (!prepare) {
    attempt.set_resume_step(job.job().progress().checkpoint_step());
    attempt.set_resume_path(job.resume_path());
  }
  for (size_t i = 0; i < assignment.ranks.size(); ++i) {
    spb::StoredRank& rank = *attempt.add_ranks();
    rank.set_rank(static_cast<int32_t>(i));
    rank.set_node_id(assignment.ranks[i].node_id);
    for (const std::string& uuid : assignment.ranks[i].device_uuids) rank.add_device_uuids(uuid);
  }
  if (!prepare) FixNumerics(attempt, transaction.base(), job);
  const std::vector<std::string> nodes = NodesOf(attempt);
  const NodePtr node = transaction.base().nodes.Find(nodes.front());
  job.mutable_job()->set_contact_lost(false);
  if (node != nullptr) job.mutable_job()->set_run_dir(StrCat(node->runs_dir(), "/", job.job_id()));
  LogEntry entry{
      job.job().name(), "ATTEMPT_STARTED",
      StrCat(prepare ? "prepare" : "train", " on ", nodes.front(), nodes.size() > 1 ? " and others" : "",
             attempt.resume_step() > 0 ? StrCat(", from step ", attempt.resume_step()) : "")};
  entry.epoch = epoch;
  transaction.Log(entry);
  for (const std::string& id : nodes)
    transaction.Send(id, StartCommand(transaction.base(), job, attempt, id));
  if (prepare) {
    job.mutable_job()->mutable_progress()->set_phase("prepare");
    job.mutable_job()->set_state_message(StrCat("preparing data on node ", nodes.front()));
  } else {
    SetJobState(transaction, job, pb::STARTING, StrCat("starting on node ", nodes.front()));
  }
}

}  // namespace

Reply Refuse(Status status, pb::ErrorReason reason) {
  return {rpc::WithReason(std::move(status), reason), "", {}, 0};
}

std::optional<Reply> Replay(const Transaction& transaction, const Caller& caller) {
  if (caller.request_id.empty()) return std::nullopt;
  const RequestPtr seen = transaction.base().requests.Find(caller.request_id);
  if (seen == nullptr) return std::nullopt;
  if (seen->method() != caller.method || seen->request_sha256() != caller.request_sha256) {
    return Refuse(absl::InvalidArgumentError(StrCat("request id ", caller.request_id,
                                                    " was used for another request: choose a new one")),
                  pb::REQUEST_ID_REUSED);
  }
  return Done(seen->job_id());
}

Reply OnCreate(Transaction& transaction, const CreateJob& event) {
  if (auto replayed = Replay(transaction, event.caller)) return *replayed;
  if (transaction.base().jobs.Find(event.row.job_id()) != nullptr) {
    return Refuse(absl::AlreadyExistsError(StrCat("job ", event.row.job_id(), " exists")),
                  pb::JOB_ALREADY_EXISTS);
  }
  spb::StoredJob& row = *transaction.NewJob(event.row);
  transaction.NewConfig(event.config);
  row.mutable_job()->set_name(JobName(row.namespace_id(), row.job_id()));
  *row.mutable_job()->mutable_create_time() = ToProto(transaction.now());
  LogEntry entry{row.job().name(), "JOB_CREATED", row.job().display_name(), event.caller.actor};
  entry.request_id = event.caller.request_id;
  transaction.Log(entry);
  SetJobState(transaction, row, pb::PREPARING, "waiting for a worker to prepare the data",
              event.caller.actor);
  transaction.AddRequest(event.caller, row.job_id());
  return Done(row.job_id());
}

Reply OnCancel(Transaction& transaction, const CancelJob& event) {
  if (auto replayed = Replay(transaction, event.caller)) return *replayed;
  Found found = FindToEdit(transaction, event.name);
  if (found.job == nullptr) return found.refusal;
  spb::StoredJob& job = *found.job;
  transaction.AddRequest(event.caller, job.job_id());
  if (IsTerminal(job.job().state()) || job.job().state() == pb::CANCELLING) return Done(job.job_id());
  const std::string message =
      event.reason.empty() ? "cancelled by request" : StrCat("cancelled: ", event.reason);
  spb::StoredAttempt* attempt = ActiveAttempt(transaction, job);
  if (attempt == nullptr) {
    SetJobState(transaction, job, pb::CANCELLED, message, event.caller.actor);
    return Done(job.job_id());
  }
  SetJobState(transaction, job, pb::CANCELLING, message, event.caller.actor);
  StopAttempt(transaction, *attempt, /*with_checkpoint=*/false);
  return Done(job.job_id());
}

Reply OnPause(Transaction& transaction, const PauseJob& event) {
  if (auto replayed = Replay(transaction, event.caller)) return *replayed;
  Found found = FindToEdit(transaction, event.name);
  if (found.job == nullptr) return found.refusal;
  spb::StoredJob& job = *found.job;
  const pb::JobState state = job.job().state();
  if (IsTerminal(state) || state == pb::CANCELLING) {
    return Refuse(absl::FailedPreconditionError(
                      StrCat("job ", event.name, " is ", pb::JobState_Name(state), " and cannot be paused")),
                  pb::JOB_TERMINAL);
  }
  transaction.AddRequest(event.caller, job.job_id());
  if (state == pb::PAUSED || state == pb::PAUSING) return Done(job.job_id());
  spb::StoredAttempt* attempt = ActiveAttempt(transaction, job);
  if (attempt == nullptr) {
    SetJobState(transaction, job, pb::PAUSED, "paused by request", event.caller.actor);
    return Done(job.job_id());
  }
  SetJobState(transaction, job, pb::PAUSING, "taking a checkpoint before it pauses", event.caller.actor);
  if (attempt->state() != spb::StoredAttempt::STOPPING) {
    StopAttempt(transaction, *attempt, /*with_checkpoint=*/attempt->kind() == wpb::TRAIN);
  }
  return Done(job.job_id());
}

Reply OnResume(Transaction& transaction, const ResumeJob& event) {
  if (auto replayed = Replay(transaction, event.caller)) return *replayed;
  Found found = FindToEdit(transaction, event.name);
  if (found.job == nullptr) return found.refusal;
  spb::StoredJob& job = *found.job;
  const pb::JobState state = job.job().state();
  if (IsTerminal(state) || state == pb::CANCELLING) {
    return Refuse(absl::FailedPreconditionError(
                      StrCat("job ", event.name, " is ", pb::JobState_Name(state), " and cannot be resumed")),
                  pb::JOB_TERMINAL);
  }
  if (state == pb::PAUSING) {
    return Refuse(absl::FailedPreconditionError(
                      StrCat("job ", event.name, " is still pausing: resume it once it is PAUSED")),
                  pb::JOB_NOT_TERMINAL);
  }
  transaction.AddRequest(event.caller, job.job_id());
  if (state != pb::PAUSED) return Done(job.job_id());
  const bool prepared = !job.prepared_cache().empty();
  SetJobState(transaction, job, prepared ? pb::QUEUED : pb::PREPARING, "resumed by request",
              event.caller.actor);
  return Done(job.job_id());
}

Reply OnDelete(Transaction& transaction, const DeleteJob& event) {
  if (auto replayed = Replay(transaction, event.caller)) return *replayed;
  const JobPtr job = FindJob(transaction.base(), event.name);
  if (job == nullptr) return FindToEdit(transaction, event.name).refusal;
  if (!IsTerminal(job->job().state())) {
    return Refuse(absl::FailedPreconditionError(StrCat("job ", event.name, " is ",
                                                       pb::JobState_Name(job->job().state()),
                                                       ": cancel it before deleting it")),
                  pb::JOB_NOT_TERMINAL);
  }
  std::vector<std::string> nodes;
  for (const AttemptPtr& attempt : transaction.base().attempts.Under(job->job_id())) {
    for (const spb::StoredRank& rank : attempt->ranks()) nodes.push_back(rank.node_id());
  }
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  for (const std::string& id : nodes) {
    spb::StoredNode* node = transaction.Node(id);
    if (node == nullptr) continue;
    node->add_deletions()->set_job_id(job->job_id());
    wpb::Command command;
    command.mutable_delete_files()->set_job_id(job->job_id());
    transaction.Send(id, std::move(command));
  }
  LogEntry entry{job->job().name(), "JOB_DELETED", job->job().display_name(), event.caller.actor};
  entry.request_id = event.caller.request_id;
  entry.from = pb::JobState_Name(job->job().state());
  transaction.Log(entry);
  transaction.DropJob(job);
  transaction.AddRequest(event.caller, job->job_id());
  return Done(job->job_id());
}

Reply OnSchedule(Transaction& transaction) {
  EndExclusions(transaction);
  const std::map<std::string, schedule::Gang> gangs = WaitingGangs(transaction.base(), transaction.now());
  if (gangs.empty()) return {};
  std::vector<schedule::Gang> queue;
  for (const auto& [id, gang] : gangs) queue.push_back(gang);
  const schedule::Placement placement =
      schedule::Place(std::move(queue), CapacitiesOf(transaction.base(), transaction.now()));
  for (const schedule::Assignment& assignment : placement.assigned) StartAttempt(transaction, assignment);
  for (const schedule::Unplaced& waiting : placement.waiting) {
    const std::string reason = schedule::Sentence(gangs.at(waiting.job_id), waiting.why);
    if (transaction.base().jobs.Find(waiting.job_id)->queue_reason() == reason) continue;
    spb::StoredJob& row = *transaction.Job(waiting.job_id);
    row.set_queue_reason(reason);
    row.mutable_job()->set_state_message(StrCat("waiting: ", reason));
  }
  return {};
}

bool HasEndedWait(const ClusterState& state, absl::Time now) {
  bool ended = false;
  state.nodes.ForEach([&](const NodePtr& node) { ended = ended || HasEndedExclusion(*node, now); });
  state.waiting.ForEach(
      [&](const JobPtr& job) { ended = ended || (job->has_not_before() && Waits(state, *job, now)); });
  return ended;
}

Reply OnPrune(Transaction& transaction) {
  transaction.base().requests.ForEach([&](const RequestPtr& request) {
    if (FromProto(request->time()) < transaction.now() - absl::Hours(24))
      transaction.DropRequest(request->request_id());
  });
  return {};
}

}  // namespace ft::state
