// What a rank takes of a GPU's memory. A training pass is gone through as the runner does it (worker/model/run/block_runner.cc), with sizes
// in the place of tensors, and the moment at which most is held is kept, with what it consists of then.
#pragma once

#include <vector>

#include "core/plan/cards.h"
#include "core/plan/estimate.h"
#include "core/plan/model_parts.h"

namespace ft::plan {

// Parts of the moment at which LibTorch's allocator holds most, and, fixed, the workspace of its products and what CUDA takes beside it
// (its context, with several ranks NCCL). Every row of a micro-batch is taken to carry loss. `bf16`: what weights and activations are kept in,
// else float32. REQUIRES: what the data chooses is chosen (rank, packed_length), or is taken to be 0 or max_length.
std::vector<MemoryPart> EstimateDeviceMemory(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16,
                                             const DataSize& data, const Card& card);

// What of a rank rests beside its GPU (parallel.offload).
BytesElsewhere BytesBesideDevice(const ModelShape& shape, const recipe::JobSpec& spec, bool bf16);

// The parts that the allocator does not know of.
int64_t BytesBesideTensors(const recipe::JobSpec& spec);

}  // namespace ft::plan
