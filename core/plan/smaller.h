// What to change in a job that does not fit into memory.
#pragma once

#include <cstdint>
#include <string>

#include "core/plan/cards.h"
#include "core/plan/estimate.h"

namespace ft::plan {

// The part of the estimate that takes most, of those that settings change.
MemoryPart LargestPart(const std::vector<MemoryPart>& parts);

// The sum of the parts that no setting changes.
int64_t FixedBytes(const std::vector<MemoryPart>& parts);

// The least change of settings with which the job is estimated to take at most `bytes`, as `key: value` pairs joined by " and ", the
// ones that cost least first: activation checkpointing, the optimizer's state divided among ranks, fewer samples at a time with as many a
// step, of a full fine-tuning the state elsewhere, 4 bits, a smaller rank, weights elsewhere (parallel.offload, which changes no bit and takes
// time), a shorter length. With resources.device: gpu packed rows no longer than a sample come first, and
// an optimizer's state in 8 bits before ranks divide it: a card's memory is what is short. Empty when none of them suffices. `bf16` and
// `data` as for EstimateMemory; `card` as for EstimateDeviceMemory.
std::string SmallestChange(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16, DataSize data,
                           int64_t bytes, const Card& card = UnknownCard());

}  // namespace ft::plan
