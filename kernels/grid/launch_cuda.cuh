// Runs a kernel body (grid.h) on the current CUDA device. Included by *_cuda.cu files only.
#pragma once

#include <cuda_runtime.h>

#include "kernels/grid/grid.h"

namespace ft::kernels {

template <typename Body>
__global__ void __launch_bounds__(Body::kThreads) RunBody(Body body) {
  __shared__ typename Body::Shared shared;
  const GridPoint at{static_cast<int64_t>(blockIdx.x), static_cast<int>(threadIdx.x), Body::kThreads};
#pragma unroll
  for (int phase = 0; phase < Body::kPhases; ++phase) {
    if (phase > 0) __syncthreads();
    body.Run(phase, at, shared);
  }
}

// Enqueues the body on `stream` (a cudaStream_t). Returns the launch's error, 0 when there is none; errors of
// the run itself come out of a later call on the stream, as CUDA has it. A grid without blocks is not
// launched. REQUIRES: fewer than 2^31 blocks.
template <typename Body>
int Launch(const Body& body, void* stream) {
  if (body.Blocks() == 0) return 0;
  RunBody<<<static_cast<unsigned>(body.Blocks()), Body::kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      body);
  return static_cast<int>(cudaGetLastError());
}

}  // namespace ft::kernels
