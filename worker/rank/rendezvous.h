// How the ranks of an attempt find and join each other, as job.json says it.
#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "worker/rank/attempt.h"
#include "worker/rank/control.h"
#include "worker/rank/reporter.h"
#include "worker/train/comm/comm.h"

namespace ft::rank {

// The group of this attempt's ranks; alone when there is but one. Waiting for peers, now and in every
// exchange, is a beat of phase "wait" that says what is waited for. Errors are those of worker/train/comm,
// INVALID_ARGUMENT for a transport that does not reach other nodes, and CANCELLED where the rank is asked to stop before all have
// met: its process must end then without joining its threads.
StatusOr<std::unique_ptr<comm::Comm>> ConnectRanks(const Attempt& attempt, int rank, Reporter& reporter,
                                                   Control& control);

// Lets the ranks' GPUs exchange by themselves, over NCCL, where each rank has a card of its own and parallel.transport leaves it open;
// else tensors go through host memory, with the same bits. Rank 0 tells which. UNAVAILABLE says what NCCL said.
Status ConnectDevices(const Attempt& attempt, at::Device device, Reporter& reporter, comm::Comm& comm);

}  // namespace ft::rank
