#include "server/state/failure.h"

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstring>

#include "core/base/str_cat.h"

namespace ft::state {
namespace {

std::string ExitText(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const char* name = sigabbrev_np(WTERMSIG(wait_status));
    return StrCat("was killed by signal ", WTERMSIG(wait_status),
                  name == nullptr ? "" : StrCat(" (SIG", name, ")"));
  }
  return StrCat("exited with status ", WEXITSTATUS(wait_status));
}

pb::FailureClass ClassOf(const std::string& name) {
  pb::FailureClass parsed = pb::UNKNOWN_EXIT;
  pb::FailureClass_Parse(name, &parsed);
  return parsed;
}

bool EndedWell(const spb::StoredRank& rank) {
  const auto result = rank.result().state();
  return result == wpb::ResultRecord::SUCCEEDED || result == wpb::ResultRecord::STOPPED;
}

// Says only that a peer went away, or that the rank was stopped because of another.
bool IsConsequence(pb::FailureClass failure_class) {
  return failure_class == pb::NETWORK || failure_class == pb::CONTROL_PLANE;
}

}  // namespace

int RetryBudget(wpb::AttemptKind kind, pb::FailureClass failure_class) {
  switch (failure_class) {
    case pb::USER_CODE:
    case pb::DATA: return kind == wpb::PREPARE ? 0 : 1;
    case pb::HOST_OOM: return 1;
    case pb::HANG: return 3;
    case pb::DEVICE_FAULT:
    case pb::NETWORK:
    case pb::CHECKPOINT_IO:
    case pb::UNKNOWN_EXIT: return 5;
    case pb::NODE_LOST:
    case pb::PREEMPTED:
    case pb::CONTROL_PLANE: return kUnlimited;
    default: return 0;
  }
}

pb::JobFailure FailureOf(const spb::StoredRank& rank) {
  pb::JobFailure failure;
  failure.set_rank(rank.rank());
  failure.set_node_id(rank.node_id());
  if (rank.result().state() == wpb::ResultRecord::FAILED) {
    failure.set_failure_class(ClassOf(rank.result().failure_class()));
    failure.set_message(rank.result().message());
  } else if (!rank.failure_class().empty()) {
    failure.set_failure_class(ClassOf(rank.failure_class()));
    failure.set_message(rank.message());
  } else if (rank.state() == wpb::RANK_NOT_STARTED) {
    failure.set_failure_class(pb::UNKNOWN_EXIT);
    failure.set_message(rank.message().empty() ? "the rank did not start" : rank.message());
  } else {
    failure.set_failure_class(pb::UNKNOWN_EXIT);
    failure.set_message(StrCat("rank ", rank.rank(), " ", ExitText(rank.wait_status()),
                               " without a result; its last output is in ftctl logs"));
  }
  return failure;
}

pb::JobFailure Preemption(const spb::StoredAttempt& attempt) {
  pb::JobFailure failure;
  failure.set_failure_class(pb::PREEMPTED);
  failure.set_message(attempt.preempted_for());
  return failure;
}

pb::JobFailure BlamedFailure(const spb::StoredAttempt& attempt) {
  if (attempt.has_failure() && !IsConsequence(attempt.failure().failure_class())) return attempt.failure();
  pb::JobFailure blamed = attempt.failure();
  bool found = attempt.has_failure();
  for (const spb::StoredRank& rank : attempt.ranks()) {
    if (EndedWell(rank) && rank.failure_class().empty()) continue;
    const pb::JobFailure failure = FailureOf(rank);
    if (!IsConsequence(failure.failure_class())) return failure;
    if (!found) blamed = failure;
    found = true;
  }
  return attempt.preempted_for().empty() ? blamed : Preemption(attempt);
}

RetryDecision ChargeFailure(const Policy& policy, wpb::AttemptKind kind, pb::FailureClass failure_class,
                            bool progressed, spb::StoredJob& job) {
  if (progressed) {
    // These two say something about the run as it is now, not about the job: they count in a row.
    for (const pb::FailureClass in_row : {pb::UNKNOWN_EXIT, pb::NODE_LOST}) {
      job.mutable_failures()->erase(pb::FailureClass_Name(in_row));
    }
  }
  const int budget = RetryBudget(kind, failure_class);
  if (failure_class == pb::PREEMPTED || failure_class == pb::CONTROL_PLANE) return {};
  const int count = ++(*job.mutable_failures())[pb::FailureClass_Name(failure_class)];
  RetryDecision decision{budget != kUnlimited && count > budget, absl::ZeroDuration()};
  // The first loss of a node restarts at once; what goes on losing nodes, or cannot write, waits longer each
  // time.
  const int doublings = failure_class == pb::CHECKPOINT_IO ? count - 1
                        : failure_class == pb::NODE_LOST   ? count - 2
                                                           : -1;
  if (doublings >= 0) {
    decision.wait =
        std::min(policy.max_backoff, policy.backoff * static_cast<double>(1 << std::min(doublings, 20)));
  }
  return decision;
}

}  // namespace ft::state
