// A device kernel is a body: a copyable struct of raw pointers and sizes with
//
//   struct Shared { ... };             shared memory of a block of threads; NoSharedMemory where there is none
//   static constexpr int kThreads;     threads of a block
//   static constexpr int kPhases;      at least 1; a barrier parts them: all threads of a block end a phase
//                                      before any begins the next
//   int64_t Blocks() const;            blocks of the grid
//   void Pointers(F f);                f(pointer) for each of them, on the host: who launches may check and replace them
//   FT_HOST_DEVICE void Run(int phase, const GridPoint& at, Shared& shared) const;
//                                      what one thread does in one phase
//
// The same body runs on a GPU (launch_cuda.cuh) and on the host, thread after thread (Emulate below), so that
// its indexing and arithmetic are tested without a device. What a thread knows in a later phase it keeps in
// Shared. The emulation cannot show races inside a phase: a phase must not read what another thread of the
// same phase writes.
#pragma once

#include <cstdint>
#include <memory>

#include "kernels/number/bf16.h"

namespace ft::kernels {

struct GridPoint {
  int64_t block = 0;
  int thread = 0;   // Index in the block.
  int threads = 1;  // Size of a block.

  // The thread's index in the grid, counted block by block.
  FT_HOST_DEVICE int64_t index() const { return block * threads + thread; }
};

// Blocks of `threads` that cover `count` items, one a thread.
FT_HOST_DEVICE inline int64_t BlocksFor(int64_t count, int threads) {
  return (count + threads - 1) / threads;
}

struct NoSharedMemory {};

// Operators of a reduction.
struct Sum {
  FT_HOST_DEVICE static float Identity() { return 0; }
  FT_HOST_DEVICE static float Combine(float a, float b) { return a + b; }
};
struct Max {
  FT_HOST_DEVICE static float Identity() { return -__builtin_inff(); }
  FT_HOST_DEVICE static float Combine(float a, float b) { return a > b ? a : b; }
};

// Reduces values(0), values(1), ... of `count` items by a block of kThreads = 256, in one fixed order: each
// thread takes every 256th item, 16 threads take 16 results each, thread 0 takes those. The three steps are
// phases of the body that uses it; afterwards `total` holds the result for all threads.
template <typename Op>
struct BlockReduce {
  static constexpr int kThreads = 256;
  static constexpr int kGroups = 16;
  float partial[kThreads];
  float group[kGroups];
  float total;

  template <typename Values>
  FT_HOST_DEVICE void ReduceItems(const GridPoint& at, int64_t count, Values values) {
    float result = Op::Identity();
    for (int64_t i = at.thread; i < count; i += kThreads) result = Op::Combine(result, values(i));
    partial[at.thread] = result;
  }
  FT_HOST_DEVICE void ReduceGroups(const GridPoint& at) {
    if (at.thread >= kGroups) return;
    float result = Op::Identity();
    for (int i = 0; i < kThreads / kGroups; ++i) {
      result = Op::Combine(result, partial[at.thread * (kThreads / kGroups) + i]);
    }
    group[at.thread] = result;
  }
  FT_HOST_DEVICE void ReduceBlock(const GridPoint& at) {
    if (at.thread != 0) return;
    float result = Op::Identity();
    for (float value : group) result = Op::Combine(result, value);
    total = result;
  }
};

using BlockSum = BlockReduce<Sum>;
using BlockMax = BlockReduce<Max>;

// Runs every thread of every block on the calling thread.
template <typename Body>
void Emulate(const Body& body) {
  const auto shared = std::make_unique<typename Body::Shared>();
  for (int64_t block = 0; block < body.Blocks(); ++block) {
    for (int phase = 0; phase < Body::kPhases; ++phase) {
      for (int thread = 0; thread < Body::kThreads; ++thread) {
        body.Run(phase, GridPoint{block, thread, Body::kThreads}, *shared);
      }
    }
  }
}

}  // namespace ft::kernels
