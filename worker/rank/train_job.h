// A TRAIN attempt on one rank: meet the others, load, resume, steps, checkpoints, evaluation, the final adapter. Rank 0
// alone writes ledger, step records, evaluations, checkpoints and the adapter; the others write beats and their Result.
#pragma once

#include <c10/core/Device.h>

#include "worker/rank/attempt.h"
#include "worker/rank/control.h"
#include "worker/rank/failure.h"
#include "worker/rank/reporter.h"

namespace ft::rank {

// A rank that loses a peer fails with class NETWORK and names it: the cause is in the other's Result, if it wrote one.
records::Result RunTrain(const Attempt& attempt, int rank, at::Device device, Reporter& reporter,
                         Control& control);

}  // namespace ft::rank
