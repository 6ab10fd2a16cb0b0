// What carries tensors from device to device by itself, beside a Comm that carries what lies in host memory (worker/train/comm/comm.h).
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "core/base/status.h"

namespace at {
class Tensor;
}

namespace ft::comm {

// Called several times a second while a device works on an exchange: OK to wait on; an error, why it is given up.
using WaitCheck = std::function<Status()>;

class DeviceCollectives {
 public:
  virtual ~DeviceCollectives() = default;
  virtual std::string_view transport() const = 0;

  // Begin on the current stream, behind what was given to it, and return once it is done. What Comm's operations of these names give,
  // bit for bit. UNAVAILABLE says what the transport said; after an error it is of no more use. REQUIRES: contiguous, on the device it
  // was made for; float32 for a sum; parts, counted in elements, that are not all empty.
  virtual Status AllReduceSum(const at::Tensor& values, const WaitCheck& check) = 0;
  virtual Status Broadcast(int root, const at::Tensor& tensor, const WaitCheck& check) = 0;
  // `mine` may lie where it goes to in `all`.
  virtual Status AllGather(const at::Tensor& mine, std::span<const size_t> counts, const at::Tensor& all,
                           const WaitCheck& check) = 0;
  virtual Status ReduceScatterSum(const at::Tensor& values, std::span<const size_t> counts, int contributors,
                                  const at::Tensor& own, const WaitCheck& check) = 0;
};

}  // namespace ft::comm
