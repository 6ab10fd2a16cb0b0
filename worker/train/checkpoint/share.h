// Rank 0's training state on every rank, so that only rank 0 needs to reach the checkpoint's storage.
#pragma once

#include "worker/train/checkpoint/checkpoint.h"
#include "worker/train/comm/comm.h"

namespace ft::checkpoint {

// Afterwards every rank has rank 0's weights, moments, optimizer steps, loss scale and `step`. Errors are the
// communicator's.
Status ShareState(comm::Comm& comm, const State& state, int64_t& step);

}  // namespace ft::checkpoint
