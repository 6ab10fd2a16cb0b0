// A device kernel is a body: a copyable struct of raw pointers and sizes with
//
//   struct Shared { ... };            what the threads of one block share; may be empty
//   static constexpr int kThreads;    threads of a block
//   static constexpr int kPhases;     1 or more; all threads of a block end a phase before any begins the
//   next int64_t Blocks() const;           blocks of the grid FT_HOST_DEVICE void Run(int phase, const
//   GridPoint& at, Shared& shared) const;
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
  int thread = 0;   // In its block.
  int threads = 1;  // Of a block.

  // Of all threads of the grid, counted block by block.
  FT_HOST_DEVICE int64_t index() const { return block * threads + thread; }
};

// Blocks of `threads` that cover `count` items, one a thread.
FT_HOST_DEVICE inline int64_t BlocksFor(int64_t count, int threads) {
  return (count + threads - 1) / threads;
}

// Shared of a body without any.
struct NothingShared {};

struct Add {
  FT_HOST_DEVICE static float Empty() { return 0; }
  FT_HOST_DEVICE static float Join(float a, float b) { return a + b; }
};
struct Larger {
  FT_HOST_DEVICE static float Empty() { return -__builtin_inff(); }
  FT_HOST_DEVICE static float Join(float a, float b) { return a > b ? a : b; }
};

// values(0), values(1), ... of `count` items joined by a block of kThreads = 256, in one fixed order: each
// thread takes every 256th item, 16 threads join 16 results each, thread 0 joins those. The three steps are
// phases of the body that uses it; afterwards `total` holds the result for all threads.
template <typename Op>
struct BlockFold {
  static constexpr int kThreads = 256;
  static constexpr int kGroups = 16;
  float partial[kThreads];
  float group[kGroups];
  float total;

  template <typename Values>
  FT_HOST_DEVICE void Collect(const GridPoint& at, int64_t count, Values values) {
    float joined = Op::Empty();
    for (int64_t i = at.thread; i < count; i += kThreads) joined = Op::Join(joined, values(i));
    partial[at.thread] = joined;
  }
  FT_HOST_DEVICE void JoinGroups(const GridPoint& at) {
    if (at.thread >= kGroups) return;
    float joined = Op::Empty();
    for (int i = 0; i < kThreads / kGroups; ++i) {
      joined = Op::Join(joined, partial[at.thread * (kThreads / kGroups) + i]);
    }
    group[at.thread] = joined;
  }
  FT_HOST_DEVICE void JoinAll(const GridPoint& at) {
    if (at.thread != 0) return;
    float joined = Op::Empty();
    for (float value : group) joined = Op::Join(joined, value);
    total = joined;
  }
};

using BlockSum = BlockFold<Add>;
using BlockMax = BlockFold<Larger>;

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
