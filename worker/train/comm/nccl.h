// Tensors from GPU to GPU over NCCL. Its sums are not used, since their order depends on ranks and sizes: each rank receives everybody's
// share of a part, adds them in the order of comm::TreeAdd by a kernel of our own, and the parts are gathered: the bytes of a ring. Where
// each rank keeps its part, that is the half of it.
#pragma once

#include <c10/core/Device.h>

#include <memory>

#include "worker/train/comm/comm.h"
#include "worker/train/cuda/nccl_api.h"

namespace ft::comm {

struct NcclOptions {
  std::chrono::milliseconds timeout =
      std::chrono::minutes(2);  // Longest wait for the peers' devices to be reached.
  size_t piece_floats =
      size_t{1}
      << 22;  // Of a sum, that go at a time; as many lie in memory of the exchange's own, twice at most.
};

// Reaches the devices of the ranks of `meeting`, which carries what they have to tell each other for that. All ranks get it or none
// does: an error names a rank and says what NCCL said. REQUIRES: each rank has a device of its own.
StatusOr<std::unique_ptr<DeviceCollectives>> ConnectNccl(Comm& meeting, const cuda::NcclApi& nccl,
                                                         at::Device device, const NcclOptions& options);

}  // namespace ft::comm
