// Bytes between host memory and the device on which tensors lie. Where a tensor lies in host memory anyway nothing is copied, so
// whoever stages need not ask.
#pragma once

#include <torch/types.h>

#include <cstddef>
#include <functional>
#include <span>

#include "core/base/status.h"

namespace ft::device {

// The host's own memory.
inline const at::Device kHost(at::kCPU);

// The host's values on `device`, through pinned memory, in the order of the current stream; nobody waits. REQUIRES: a tensor in host
// memory that nobody changes while it is on its way: on the host's own device the result is the tensor itself.
torch::Tensor Upload(const torch::Tensor& host, at::Device device);

// The values in host memory, contiguous, complete on return. The tensor itself where it is that already.
torch::Tensor Download(const torch::Tensor& tensor);

// Calls `fill` with host memory of the tensor's size; where it is OK, the tensor holds those bytes afterwards, else it is unchanged or,
// where it lies in host memory, what `fill` left. REQUIRES: contiguous.
Status FillFromHost(const torch::Tensor& tensor, const std::function<Status(std::span<std::byte>)>& fill);

// A tensor's bytes. REQUIRES: contiguous, in host memory.
std::span<std::byte> HostBytes(const torch::Tensor& tensor);

}  // namespace ft::device
