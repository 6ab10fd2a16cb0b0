// What ranks and their agents report: starts, records, checkpoints, ends; and what an end means for the job.
#include <algorithm>
#include <cmath>

#include "core/rpc/errors.h"
#include "core/series/evaluations.h"
#include "server/state/device_faults.h"
#include "server/state/failure.h"
#include "server/state/transaction.h"

namespace ft::state {
namespace {

constexpr char kWaitPhase[] = "wait";
constexpr size_t kMaxReportBytes = 256 << 10;

// What a rank tells again after a crash of the coordinator, because its acknowledgement is forgotten with it.
bool IsProgress(const wpb::RankRecord& record) {
  return record.has_step() || record.has_beat() || record.has_eval() || record.has_plan() ||
         record.has_sample() || record.has_score();
}

// Rank 0's result is the attempt's. One that was given up after it told its result may not have delivered the
// adapter.
bool HasResult(const spb::StoredAttempt& attempt) {
  const spb::StoredRank& first = attempt.ranks(0);
  return first.result().state() == wpb::ResultRecord::SUCCEEDED && first.failure_class().empty();
}

// Every rank has stopped at a checkpoint or was done already. What a stopped rank leaves is its checkpoint, whose commit
// comes before its end, so it does not matter that its worker was restarted meanwhile.
bool EndedOnRequest(const spb::StoredAttempt& attempt) {
  return std::all_of(attempt.ranks().begin(), attempt.ranks().end(), [](const spb::StoredRank& rank) {
    const bool excused = rank.failure_class() == pb::FailureClass_Name(pb::NODE_LOST);
    if (rank.result().state() == wpb::ResultRecord::STOPPED) return rank.failure_class().empty() || excused;
    return rank.result().state() == wpb::ResultRecord::SUCCEEDED && rank.failure_class().empty();
  });
}

void Succeed(Transaction& transaction, spb::StoredJob& job, const spb::StoredAttempt& attempt) {
  if (attempt.kind() == wpb::PREPARE) {
    if (job.job().state() == pb::PAUSING) {
      SetJobState(transaction, job, pb::PAUSED, "paused after its data was prepared");
    } else {
      SetJobState(transaction, job, pb::QUEUED, "data prepared, waiting for devices");
    }
    return;
  }
  const wpb::ResultRecord& result = attempt.ranks(0).result();
  pb::JobResult& out = *job.mutable_job()->mutable_result();
  if (!result.adapter_path().empty())
    out.set_adapter_dir(StrCat(job.job().run_dir(), "/", result.adapter_path()));
  out.set_adapter_sha256(result.adapter_sha256());
  out.set_ledger_sha256(result.ledger_sha256());
  job.mutable_job()->clear_failure();
  SetJobState(transaction, job, pb::SUCCEEDED, StrCat("finished after step ", result.step()));
}

void NoteFault(Transaction& transaction, spb::StoredJob& job, spb::StoredAttempt& attempt) {
  if (attempt.has_fault_time()) return;
  *attempt.mutable_fault_time() = ToProto(transaction.now());
  if (job.fault_epoch() == 0) *job.mutable_fault_time() = attempt.fault_time();
  job.set_fault_epoch(attempt.epoch());
}

void Recover(Transaction& transaction, spb::StoredJob& job, absl::Duration wait, const std::string& why) {
  const int64_t step = job.job().progress().checkpoint_step();
  std::string message = StrCat("restarting from step ", step);
  if (wait > absl::ZeroDuration()) {
    *job.mutable_not_before() = ToProto(transaction.now() + wait);
    message += StrCat(" in ", absl::FormatDuration(wait));
  }
  message += StrCat(": ", why);
  if (job.job().state() == pb::RECOVERING) {
    job.mutable_job()->set_state_message(message);
  } else {
    SetJobState(transaction, job, pb::RECOVERING, message);
  }
}

void FailOrRetry(Transaction& transaction, spb::StoredJob& job, spb::StoredAttempt& attempt,
                 int64_t furthest_before) {
  const pb::JobFailure failure = BlamedFailure(attempt);
  *attempt.mutable_failure() = failure;
  NoteFault(transaction, job, attempt);
  const bool checkpointed =
      !transaction.base().checkpoints.Under(AttemptKey(job.job_id(), attempt.epoch())).empty();
  const bool progressed = attempt.step() > furthest_before || checkpointed;
  const RetryDecision decision =
      ChargeFailure(transaction.base().policy, attempt.kind(), failure.failure_class(), progressed, job);
  if (failure.failure_class() != pb::PREEMPTED) *job.mutable_job()->mutable_failure() = failure;
  if (decision.give_up) {
    SetJobState(transaction, job, pb::FAILED, failure.message());
  } else if (job.job().state() == pb::PAUSING) {
    SetJobState(transaction, job, pb::PAUSED, StrCat("paused at its last checkpoint: ", failure.message()));
  } else if (attempt.kind() == wpb::PREPARE) {
    job.mutable_job()->set_state_message(StrCat("preparing again: ", failure.message()));
    if (decision.wait > absl::ZeroDuration())
      *job.mutable_not_before() = ToProto(transaction.now() + decision.wait);
    transaction.WantSchedule();
  } else {
    Recover(transaction, job, decision.wait, failure.message());
  }
}

std::string StoppedBecause(const spb::StoredAttempt& attempt, const spb::StoredJob& job) {
  const std::string stopped = StrCat("stopped at step ", job.job().progress().checkpoint_step());
  if (attempt.preempted_for().empty()) return StrCat(stopped, ", waiting for devices");
  return StrCat(stopped, ", waiting for devices elsewhere: ", attempt.preempted_for());
}

// What events say of an attempt's end: its cause, which may have been told after another rank's complaint had stopped the gang.
std::string EndText(const spb::StoredJob& job, const spb::StoredAttempt& attempt) {
  if (HasResult(attempt)) return "succeeded";
  if (job.job().state() == pb::CANCELLING || EndedOnRequest(attempt)) return "stopped";
  return StrCat("failed: ", BlamedFailure(attempt).message());
}

void EndAttempt(Transaction& transaction, spb::StoredJob& job, spb::StoredAttempt& attempt) {
  attempt.set_state(spb::StoredAttempt::ENDED);
  *attempt.mutable_end_time() = ToProto(transaction.now());
  const int64_t furthest_before = job.furthest_step();
  job.set_furthest_step(std::max(furthest_before, attempt.step()));
  NoteDevices(transaction, attempt);
  const bool succeeded = HasResult(attempt);
  if (!succeeded && EndedOnRequest(attempt) && !attempt.preempted_for().empty())
    *attempt.mutable_failure() = Preemption(attempt);
  LogEntry entry{job.job().name(), "ATTEMPT_ENDED", EndText(job, attempt)};
  entry.epoch = attempt.epoch();
  transaction.Log(entry);
  transaction.WantSchedule();
  const pb::JobState state = job.job().state();
  if (IsTerminal(state)) return;
  if (state == pb::CANCELLING) {
    SetJobState(transaction, job, pb::CANCELLED, job.job().state_message());
  } else if (succeeded) {
    Succeed(transaction, job, attempt);
  } else if (EndedOnRequest(attempt)) {
    if (state == pb::PAUSING) {
      SetJobState(transaction, job, pb::PAUSED,
                  StrCat("paused at step ", job.job().progress().checkpoint_step()));
    } else if (attempt.kind() == wpb::TRAIN && state != pb::RECOVERING) {
      SetJobState(transaction, job, pb::QUEUED, StoppedBecause(attempt, job));
    }
  } else if (state == pb::PAUSING && attempt.kind() == wpb::PREPARE) {
    SetJobState(transaction, job, pb::PAUSED, "paused before its data was prepared");
  } else {
    FailOrRetry(transaction, job, attempt, furthest_before);
  }
}

// The first step after a fault ends the recovery.
void NoteRecovered(Transaction& transaction, spb::StoredJob& job, const spb::StoredAttempt& attempt) {
  if (job.fault_epoch() == 0 || job.fault_epoch() >= attempt.epoch()) return;
  job.set_fault_epoch(0);
  LogEntry entry{
      job.job().name(), "RECOVERED",
      StrCat("trains again, ", absl::FormatDuration(transaction.now() - FromProto(job.fault_time())),
             " after the failure was noticed")};
  entry.epoch = attempt.epoch();
  transaction.Log(entry);
}

void ApplyStep(const wpb::StepRecord& step, spb::StoredJob& job, spb::StoredAttempt& attempt) {
  attempt.set_step(std::max(attempt.step(), step.step()));
  attempt.set_step_seconds(step.seconds());
  pb::JobProgress& progress = *job.mutable_job()->mutable_progress();
  progress.set_step(step.step());
  progress.set_loss(step.loss());
  progress.set_learning_rate(step.learning_rate());
  progress.set_phase("train");
  // A step whose time is no number says nothing about the next.
  if (!(step.seconds() > 0) || !std::isfinite(step.seconds())) return;
  progress.set_tokens_per_second(static_cast<double>(step.tokens()) / step.seconds());
  const double left = static_cast<double>(std::max<int64_t>(0, progress.total_steps() - step.step()));
  // Smoothed over about ten steps, so that one slow step does not move the estimate much.
  const double before = progress.eta().seconds() + progress.eta().nanos() * 1e-9;
  const double now = left * step.seconds();
  const double eta = progress.has_eta() ? 0.9 * before * (left / (left + 1)) + 0.1 * now : now;
  progress.mutable_eta()->set_seconds(static_cast<int64_t>(eta));
  progress.mutable_eta()->set_nanos(static_cast<int32_t>((eta - std::floor(eta)) * 1e9));
}

// What a preparation says to people, cut where it would make answers too large.
void KeepReport(const wpb::PreparedRecord& record, spb::StoredConfig& config) {
  config.clear_report();
  size_t bytes = 0;
  for (const std::string& line : record.report()) {
    bytes += line.size();
    if (bytes > kMaxReportBytes) {
      config.add_report("... the rest of the report is left out");
      return;
    }
    config.add_report(line);
  }
}

void ApplyPrepared(Transaction& transaction, const wpb::PreparedRecord& record, const std::string& node_id,
                   spb::StoredJob& job) {
  pb::PreparedData& data = *job.mutable_job()->mutable_prepared();
  data.set_cache_sha256(record.cache_sha256());
  data.set_samples(record.samples());
  data.set_tokens(record.tokens());
  data.set_supervised_tokens(record.supervised_tokens());
  data.set_truncated_samples(record.truncated_samples());
  data.set_holdout_samples(record.holdout_samples());
  if (spb::StoredConfig* config = transaction.Config(job.job_id())) KeepReport(record, *config);
  job.set_prepared_cache(record.cache_path());
  job.set_prepared_node(node_id);
}

// Kept with the attempt, and told to all its nodes; a peer hears nothing it knows already.
void ApplyRendezvous(Transaction& transaction, const std::string& address, spb::StoredAttempt& attempt) {
  if (attempt.rendezvous_address() == address) return;
  attempt.set_rendezvous_address(address);
  if (attempt.state() == spb::StoredAttempt::STOPPING) return;
  for (const std::string& node_id : NodesOf(attempt)) transaction.Send(node_id, RendezvousCommand(attempt));
}

void NoteProgress(spb::StoredRank& rank, const std::string& phase) {
  rank.set_beats(rank.beats() + 1);
  rank.set_phase(phase);
  rank.clear_wait();
}

// A rank that waits shows that its process lives; the gang goes on only when it waits in a later exchange than before.
void ApplyWait(const wpb::BeatRecord& beat, spb::StoredRank& rank) {
  if (beat.wait_sequence() > rank.wait_sequence()) {
    rank.set_beats(rank.beats() + 1);
    rank.set_wait_sequence(beat.wait_sequence());
  }
  rank.set_wait_beats(rank.wait_beats() + 1);
  spb::Wait& wait = *rank.mutable_wait();
  wait.set_operation(beat.wait_operation());
  wait.set_sequence(beat.wait_sequence());
  wait.set_missing_rank(beat.has_wait_rank() ? beat.wait_rank() : -1);
}

void ApplyBeat(const wpb::BeatRecord& beat, spb::StoredRank& rank) {
  if (beat.phase() == kWaitPhase) {
    ApplyWait(beat, rank);
    return;
  }
  // A disk that takes nothing any more is no progress, however often the rank says that it writes.
  const bool stuck = beat.bytes() > 0 && beat.bytes() == rank.bytes() && beat.phase() == rank.phase();
  rank.set_bytes(beat.bytes());
  if (!stuck) NoteProgress(rank, beat.phase());
}

void ShowPhase(const wpb::BeatRecord& beat, pb::JobProgress& progress) {
  progress.set_phase(beat.phase());
  progress.set_phase_bytes(beat.total_bytes() > 0 ? beat.bytes() : 0);
  progress.set_phase_total_bytes(beat.total_bytes());
}

// An attempt that goes on from an older checkpoint than it was given has found the newer ones damaged: the job's newest is the one
// that it took. The files of the others stay until the next attempt starts.
void NoteOlderCheckpoint(Transaction& transaction, const wpb::PlanRecord& plan,
                         const spb::StoredAttempt& attempt, spb::StoredJob& job) {
  const int64_t taken = plan.first_step() - 1;
  if (taken >= attempt.resume_step()) return;
  const std::vector<CheckpointPtr> rows = transaction.base().checkpoints.Under(job.job_id());
  const auto is_taken = [&](const CheckpointPtr& row) { return row->checkpoint().step() == taken; };
  if (std::none_of(rows.begin(), rows.end(), is_taken)) return;
  const spb::StoredCheckpoint* newest = nullptr;
  for (const CheckpointPtr& row : rows) {
    if (row->checkpoint().epoch() < attempt.epoch() && row->checkpoint().step() > taken) {
      transaction.DropCheckpoint(row);
    } else {
      newest = row.get();
    }
  }
  job.mutable_job()->mutable_progress()->set_checkpoint_step(newest->checkpoint().step());
  job.set_resume_node(newest->node_id());
  job.set_resume_path(newest->checkpoint().path());
}

void ApplyRecord(Transaction& transaction, const wpb::RankRecord& record, spb::StoredJob& job,
                 spb::StoredAttempt& attempt, spb::StoredRank& rank) {
  pb::JobProgress& progress = *job.mutable_job()->mutable_progress();
  switch (record.kind_case()) {
    case wpb::RankRecord::kPlan:
      if (rank.rank() != 0) break;
      progress.set_total_steps(record.plan().total_steps());
      progress.clear_eta();
      NoteOlderCheckpoint(transaction, record.plan(), attempt, job);
      break;
    case wpb::RankRecord::kStep:
      NoteProgress(rank, "train");
      if (rank.rank() != 0) break;
      NoteRecovered(transaction, job, attempt);
      ApplyStep(record.step(), job, attempt);
      break;
    case wpb::RankRecord::kEval:
      if (rank.rank() != 0) break;
      series::NoteLoss(record.eval().name(), record.eval().step(), record.eval().loss(),
                       record.eval().supervised_tokens(), progress);
      break;
    case wpb::RankRecord::kScore:
      if (rank.rank() != 0) break;
      series::NoteScore(record.score().name(), record.score().step(), record.score().average(),
                        record.score().questions(), progress);
      break;
    case wpb::RankRecord::kBeat:
      ApplyBeat(record.beat(), rank);
      if (rank.rank() == 0) ShowPhase(record.beat(), progress);
      break;
    case wpb::RankRecord::kRendezvous:
      if (rank.rank() == 0) ApplyRendezvous(transaction, record.rendezvous().address(), attempt);
      break;
    case wpb::RankRecord::kPrepared:
      ApplyPrepared(transaction, record.prepared(), rank.node_id(), job);
      break;
    case wpb::RankRecord::kResult: *rank.mutable_result() = record.result(); break;
    case wpb::RankRecord::kNote: {
      LogEntry entry{job.job().name(), StrCat("RANK_", record.note().reason()), record.note().message(),
                     StrCat("node:", rank.node_id())};
      entry.epoch = attempt.epoch();
      transaction.Log(entry);
      break;
    }
    default: break;
  }
}

// Checkpoints beyond the newest keep_last go: the row now, the files by command.
void DropOldCheckpoints(Transaction& transaction, const spb::StoredJob& job) {
  std::vector<CheckpointPtr> rows = transaction.base().checkpoints.Under(job.job_id());
  // The one just committed is not in the base yet, so keep_last - 1 of the older ones stay.
  const int stay = std::max(1, job.keep_last()) - 1;
  for (int i = 0; i + stay < static_cast<int>(rows.size()); ++i) {
    const spb::StoredCheckpoint& row = *rows[i];
    transaction.DropCheckpoint(rows[i]);
    spb::StoredNode* node = transaction.Node(row.node_id());
    if (node == nullptr) continue;
    spb::PendingDeletion& deletion = *node->add_deletions();
    deletion.set_job_id(job.job_id());
    deletion.add_paths(row.checkpoint().path());
    wpb::Command command;
    command.mutable_delete_files()->set_job_id(job.job_id());
    command.mutable_delete_files()->add_paths(row.checkpoint().path());
    transaction.Send(row.node_id(), std::move(command));
  }
}

}  // namespace

bool IsGone(const spb::StoredRank& rank) {
  return rank.state() == wpb::RANK_EXITED || rank.state() == wpb::RANK_NOT_STARTED;
}

void AfterRankEnded(Transaction& transaction, spb::StoredJob& job, spb::StoredAttempt& attempt) {
  if (attempt.state() == spb::StoredAttempt::ENDED) return;
  if (std::all_of(attempt.ranks().begin(), attempt.ranks().end(), IsGone)) {
    EndAttempt(transaction, job, attempt);
    return;
  }
  if (attempt.state() == spb::StoredAttempt::STOPPING) return;
  if (HasResult(attempt)) {
    // Peers have nothing left to do. Rank 0 itself is waited for: its adapter is on the way.
    if (IsGone(attempt.ranks(0))) StopAttempt(transaction, attempt, /*with_checkpoint=*/false);
    return;
  }
  const auto bad =
      std::find_if(attempt.ranks().begin(), attempt.ranks().end(), [](const spb::StoredRank& rank) {
        return IsGone(rank) &&
               (!rank.failure_class().empty() || (rank.result().state() != wpb::ResultRecord::SUCCEEDED &&
                                                  rank.result().state() != wpb::ResultRecord::STOPPED));
      });
  if (bad == attempt.ranks().end()) return;
  // One rank failed: the whole gang stops, and restarts together under the next epoch.
  *attempt.mutable_failure() = FailureOf(*bad);
  NoteFault(transaction, job, attempt);
  const pb::JobState state = job.job().state();
  if (state == pb::RUNNING || state == pb::STARTING) {
    SetJobState(transaction, job, pb::RECOVERING, StrCat("stopping the gang: ", attempt.failure().message()));
  }
  StopAttempt(transaction, attempt, /*with_checkpoint=*/false);
}

Reply OnRankReport(Transaction& transaction, const RankReport& event) {
  const wpb::RankRef& ref = event.report.ref();
  if (Status fence = CheckFence(transaction.base(), event.node_id, ref); !fence.ok())
    return {fence, "", {}, 0};
  spb::StoredJob& job = *transaction.Job(ref.job_id());
  spb::StoredAttempt& attempt = *transaction.Attempt(ref.job_id(), ref.epoch());
  spb::StoredRank& rank = *attempt.mutable_ranks(ref.rank());
  if (IsGone(rank)) return {};
  *attempt.mutable_last_sign_time() = ToProto(transaction.now());
  rank.set_state(event.report.state());
  if (event.report.pid() != 0) rank.set_pid(event.report.pid());
  rank.set_wait_status(event.report.wait_status());
  if (rank.failure_class().empty()) rank.set_failure_class(event.report.failure_class());
  if (rank.message().empty()) rank.set_message(event.report.message());
  if (IsGone(rank)) {
    AfterRankEnded(transaction, job, attempt);
    return {};
  }
  const bool all_run = std::all_of(attempt.ranks().begin(), attempt.ranks().end(),
                                   [](const spb::StoredRank& r) { return r.state() == wpb::RANK_RUNNING; });
  if (all_run && attempt.state() == spb::StoredAttempt::ALLOCATED) {
    attempt.set_state(spb::StoredAttempt::RUNNING);
    if (job.job().state() == pb::STARTING)
      SetJobState(transaction, job, pb::RUNNING, StrCat("running on ", rank.node_id()));
  }
  return {};
}

Reply OnGangWaits(Transaction& transaction, const GangWaits& event) {
  const JobPtr base = transaction.base().jobs.Find(event.job_id);
  const AttemptPtr current = base == nullptr ? nullptr : CurrentAttempt(transaction.base(), *base);
  if (current == nullptr || current->epoch() != event.epoch ||
      current->state() != spb::StoredAttempt::RUNNING)
    return {};
  LogEntry entry{base->job().name(), event.hung ? "GANG_HUNG" : "GANG_WAITS", event.message};
  entry.epoch = event.epoch;
  transaction.Log(entry);
  if (!event.hung) return {};
  spb::StoredJob& job = *transaction.Job(event.job_id);
  spb::StoredAttempt& attempt = *transaction.Attempt(event.job_id, event.epoch);
  attempt.mutable_failure()->set_failure_class(pb::HANG);
  attempt.mutable_failure()->set_message(event.message);
  NoteFault(transaction, job, attempt);
  if (job.job().state() == pb::RUNNING) {
    SetJobState(transaction, job, pb::RECOVERING, StrCat("stopping the gang: ", event.message));
  }
  StopAttempt(transaction, attempt, /*with_checkpoint=*/false);
  return {};
}

Reply OnRecords(Transaction& transaction, const RecordsArrived& event) {
  const wpb::RankRef& ref = event.ref;
  if (Status fence = CheckFence(transaction.base(), event.node_id, ref); !fence.ok())
    return {fence, "", {}, 0};
  Reply reply;
  reply.acked_sequence = CurrentAttempt(transaction.base(), *transaction.base().jobs.Find(ref.job_id()))
                             ->ranks(ref.rank())
                             .acked_sequence();
  const bool news = std::any_of(
      event.records.begin(), event.records.end(),
      [&](const wpb::RankRecord& record) { return record.sequence() == reply.acked_sequence + 1; });
  if (!news) return reply;
  spb::StoredJob& job = *transaction.Job(ref.job_id());
  spb::StoredAttempt& attempt = *transaction.Attempt(ref.job_id(), ref.epoch());
  spb::StoredRank& rank = *attempt.mutable_ranks(ref.rank());
  *attempt.mutable_last_sign_time() = ToProto(transaction.now());
  if (std::all_of(event.records.begin(), event.records.end(), IsProgress)) transaction.MarkProgress();
  for (const wpb::RankRecord& record : event.records) {
    if (record.sequence() != rank.acked_sequence() + 1) continue;
    ApplyRecord(transaction, record, job, attempt, rank);
    rank.set_acked_sequence(record.sequence());
  }
  reply.acked_sequence = rank.acked_sequence();
  return reply;
}

Reply OnCheckpoint(Transaction& transaction, const CheckpointWritten& event) {
  const wpb::RankRef& ref = event.ref;
  if (Status fence = CheckFence(transaction.base(), event.node_id, ref); !fence.ok())
    return {fence, "", {}, 0};
  const wpb::CheckpointRecord& record = event.checkpoint;
  if (transaction.base().checkpoints.Find(CheckpointKey(ref.job_id(), ref.epoch(), record.step())) != nullptr)
    return {};
  spb::StoredJob& job = *transaction.Job(ref.job_id());
  if (record.step() < job.job().progress().checkpoint_step()) return {};  // Repeated, and dropped since.
  spb::StoredCheckpoint row;
  row.set_job_id(ref.job_id());
  row.set_node_id(event.node_id);
  pb::Checkpoint& checkpoint = *row.mutable_checkpoint();
  checkpoint.set_job(job.job().name());
  checkpoint.set_epoch(ref.epoch());
  checkpoint.set_step(record.step());
  checkpoint.set_path(record.path());
  checkpoint.set_manifest_sha256(record.manifest_sha256());
  checkpoint.set_size_bytes(record.size_bytes());
  *checkpoint.mutable_commit_time() = ToProto(transaction.now());
  transaction.AddCheckpoint(row);
  job.mutable_job()->mutable_progress()->set_checkpoint_step(record.step());
  job.set_resume_node(event.node_id);
  job.set_resume_path(record.path());
  job.mutable_failures()->erase(pb::FailureClass_Name(pb::UNKNOWN_EXIT));
  job.mutable_failures()->erase(pb::FailureClass_Name(pb::NODE_LOST));
  LogEntry entry{job.job().name(), "CHECKPOINT_COMMITTED",
                 StrCat("step ", record.step(), ", ", record.path()), StrCat("node:", event.node_id)};
  entry.epoch = ref.epoch();
  transaction.Log(entry);
  DropOldCheckpoints(transaction, job);
  return {};
}

Reply OnStopFoundNothing(Transaction& transaction, const StopFoundNothing& event) {
  const JobPtr base = transaction.base().jobs.Find(event.job_id);
  const AttemptPtr current = base == nullptr ? nullptr : CurrentAttempt(transaction.base(), *base);
  if (current == nullptr || current->epoch() != event.epoch ||
      current->state() != spb::StoredAttempt::STOPPING)
    return {};
  spb::StoredJob& job = *transaction.Job(event.job_id);
  spb::StoredAttempt& attempt = *transaction.Attempt(event.job_id, event.epoch);
  for (spb::StoredRank& rank : *attempt.mutable_ranks()) {
    if (rank.node_id() != event.node_id || IsGone(rank)) continue;
    rank.set_state(wpb::RANK_NOT_STARTED);
    rank.set_failure_class(pb::FailureClass_Name(pb::CONTROL_PLANE));
    rank.set_message("it was stopped before it started");
  }
  AfterRankEnded(transaction, job, attempt);
  return {};
}

}  // namespace ft::state
