// Copies between host and simulated devices, with the waits of CUDA's.
#pragma once

#include <torch/types.h>

namespace ft::simdevice {

// `to` = `from`, converted and broadcast, on the current stream of the device (of the source's, between two devices). The host waits,
// unless nothing but devices takes part, or `non_blocking` is asked for and the host's side is pinned and contiguous: then the copy reads
// or writes it when the stream gets there. REQUIRES: one of them lies on a device.
void Copy(const at::Tensor& from, const at::Tensor& to, bool non_blocking);

}  // namespace ft::simdevice
