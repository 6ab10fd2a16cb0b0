// NCCL for simulated devices: the table that libft_sim.so hands to ranks in its place. Ranks are threads or processes of one machine.
//
// As NCCL does: a call only gives work to a stream, which goes on when all ranks it concerns have got that far, also for ever; sends and
// receives of a pair of ranks meet in the order in which they were given; making a communicator, and the end of a group, are under way
// for a while; a peer that aborted is an asynchronous error, one that was killed is none. Otherwise than NCCL: two ranks of one device
// are told apart and let through, a send and a receive of different sizes end the process with a sentence.
#pragma once

#include "worker/train/cuda/nccl_api.h"

namespace ft::simdevice {

const cuda::NcclApi& FakeNccl();

}  // namespace ft::simdevice
