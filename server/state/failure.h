// What the end of a rank says about its attempt, and what a failed attempt costs its job: failure classes,
// budgets and back-off. Pure.
//
// Budgets (how many attempts may fail with a class before the job does):
//   CONFIG, DEVICE_OOM, NAN_LOSS 0; USER_CODE, DATA, HOST_OOM 1; HANG 3; DEVICE_FAULT, NETWORK, CHECKPOINT_IO
//   5; UNKNOWN_EXIT 5 in a row; NODE_LOST, PREEMPTED, CONTROL_PLANE no end. The same data and code fail the
//   same way, so a PREPARE attempt has no second try for DATA and USER_CODE.
// A gang's failure counts once, whatever the number of its ranks that fail.
#pragma once

#include "absl/time/time.h"
#include "server/state/cluster_state.h"

namespace ft::state {

inline constexpr int kUnlimited = -1;

int RetryBudget(wpb::AttemptKind kind, pb::FailureClass failure_class);

// REQUIRES: the rank has ended without SUCCEEDED or STOPPED.
pb::JobFailure FailureOf(const spb::StoredRank& rank);

// The failure of an attempt: the one that stopped the gang, unless that was only a peer's complaint (NETWORK)
// and another rank has told the cause since.
// One whose place was taken away, and of which no rank tells a failure of its own, was PREEMPTED.
pb::JobFailure BlamedFailure(const spb::StoredAttempt& attempt);

// REQUIRES: the attempt's place was taken away.
pb::JobFailure Preemption(const spb::StoredAttempt& attempt);

// Counts one failed attempt in the job's row. `progressed`: it got further than any before, or committed a
// checkpoint.
struct RetryDecision {
  bool give_up = false;
  absl::Duration wait;  // Before the next attempt.
};
RetryDecision ChargeFailure(const Policy& policy, wpb::AttemptKind kind, pb::FailureClass failure_class,
                            bool progressed, spb::StoredJob& job);

}  // namespace ft::state
