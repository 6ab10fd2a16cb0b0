// NCCL's functions as the table that ranks use (worker/train/cuda/nccl_api.h).
#pragma once

#include "worker/train/cuda/nccl_api.h"

namespace ft::cuda {

const NcclApi& LinkedNccl();

}  // namespace ft::cuda
