// Collective operations over tensors, wherever they lie: through host memory, so every transport carries them, with the same bits.
#pragma once

#include <torch/torch.h>

#include "core/base/status.h"
#include "worker/train/comm/comm.h"

namespace ft::comm {

// Comm::AllReduceSum over a tensor. REQUIRES: float32, contiguous.
Status AllReduceSum(Comm& comm, const torch::Tensor& tensor);

// Comm::Broadcast of a tensor's bytes. REQUIRES: contiguous.
Status Broadcast(Comm& comm, int root, const torch::Tensor& tensor);

}  // namespace ft::comm
