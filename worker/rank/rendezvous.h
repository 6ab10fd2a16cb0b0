// How the ranks of an attempt find and join each other, as job.json says it.
#pragma once

#include <memory>

#include "worker/rank/attempt.h"
#include "worker/rank/control.h"
#include "worker/rank/reporter.h"
#include "worker/train/comm/comm.h"

namespace ft::rank {

// The group of this attempt's ranks; alone when there is but one. Waiting for peers, now and in every
// exchange, is a beat of phase "wait" that says what is waited for. Errors are those of worker/train/comm, and
// INVALID_ARGUMENT for a transport that does not reach other nodes.
StatusOr<std::unique_ptr<comm::Comm>> ConnectRanks(const Attempt& attempt, int rank, Reporter& reporter,
                                                   Control& control);

}  // namespace ft::rank
