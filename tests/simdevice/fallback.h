// Every operator that this library does not bring itself, answered by LibTorch's CPU kernel over the bytes of the device, in the order
// of the current stream. Where the sizes of what it makes follow from those of its inputs (LibTorch's Meta kernels say so) it is given
// to the stream and the host goes on, as on CUDA. Where they do not (nonzero, a mask as an index, a number that is returned), the host
// waits, as on CUDA.
//
// As on CUDA, all tensors must lie on one device; numbers may be tensors of the host without dimensions, and lists of indices may be
// the host's.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <cstdint>
#include <map>
#include <string>

namespace ft::simdevice {

void Fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack);

struct FallbackCount {
  int64_t given = 0;   // To a stream.
  int64_t waited = 0;  // The host waited.
};

// How often each operator came here, by name.
std::map<std::string, FallbackCount> FallbackCounts();

}  // namespace ft::simdevice
