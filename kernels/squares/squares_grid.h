// Sums of squares as a kernel body (kernels/grid/grid.h), bit-equal to the array function: a thread a running sum.
#pragma once

#include "kernels/grid/grid.h"
#include "kernels/squares/squares.h"

namespace ft::kernels {

struct SumsOfSquaresBody {
  static constexpr int kThreads = 256;
  static constexpr int kPhases = 2;
  static constexpr int kBlocksAtOnce = kThreads / kSquaresLanes;  // Of values, by one block of threads.
  struct Shared {
    float lanes[kThreads];
  };

  const float* values = nullptr;
  int64_t count = 0;
  float* sums = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(values), f(sums);
  }
  FT_HOST_DEVICE int64_t ValueBlocks() const { return (count + kSquaresBlock - 1) / kSquaresBlock; }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(ValueBlocks(), kBlocksAtOnce); }

  FT_HOST_DEVICE void Run(int phase, const GridPoint& at, Shared& shared) const {
    const int lane = at.thread % kSquaresLanes;
    const int64_t block = at.block * kBlocksAtOnce + at.thread / kSquaresLanes;
    if (phase == 0) {
      shared.lanes[at.thread] = LaneSum(block, lane);
    } else if (lane == 0 && block < ValueBlocks()) {
      sums[block] = Fold(shared.lanes + at.thread);
    }
  }

 private:
  FT_HOST_DEVICE float LaneSum(int64_t block, int lane) const {
    const int64_t begin = block * kSquaresBlock;
    const int64_t end = begin + kSquaresBlock < count ? begin + kSquaresBlock : count;
    float sum = 0;
    for (int64_t i = begin + lane; i < end; i += kSquaresLanes) sum += values[i] * values[i];
    return sum;
  }
  FT_HOST_DEVICE static float Fold(float* lanes) {
    for (int width = kSquaresLanes / 2; width > 0; width /= 2) {
      for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
    }
    return lanes[0];
  }
};

}  // namespace ft::kernels
