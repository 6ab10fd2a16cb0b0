// AdamW over moments of 8 bits as a kernel body (kernels/grid/grid.h), bit-equal to the array function: a thread a weight.
#pragma once

#include "kernels/adamw_8bit/adamw_8bit.h"
#include "kernels/grid/grid.h"

namespace ft::kernels {

struct AdamW8bitBody {
  static constexpr int kThreads = static_cast<int>(kAdamW8bitBlock);
  static constexpr int kPhases = 4;
  struct Shared {
    float first[kThreads], second[kThreads];
    BlockMax largest_first, largest_second;
  };

  AdamW8bitStep step;
  AdamW8bitArrays arrays;
  const float* signed_map = nullptr;  // The maps, in the memory of the device that runs the body.
  const float* unsigned_map = nullptr;

  template <typename F>
  void Pointers(F f) {
    f(arrays.values), f(arrays.gradients), f(arrays.first), f(arrays.first_absmax), f(arrays.second);
    f(arrays.second_absmax), f(signed_map), f(unsigned_map);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return AdamW8bitBlocks(arrays.count); }

  FT_HOST_DEVICE void Run(int phase, const GridPoint& at, Shared& shared) const {
    if (phase == 0) {
      Update(at, shared);
    } else if (phase == 1) {
      shared.largest_first.ReduceGroups(at);
      shared.largest_second.ReduceGroups(at);
    } else if (phase == 2) {
      shared.largest_first.ReduceBlock(at);
      shared.largest_second.ReduceBlock(at);
    } else {
      Keep(at, shared);
    }
  }

 private:
  FT_HOST_DEVICE void Update(const GridPoint& at, Shared& shared) const {
    const int64_t i = at.index();
    float& first = shared.first[at.thread];
    float& second = shared.second[at.thread];
    if (i < arrays.count) {
      first = signed_map[arrays.first[i]] * arrays.first_absmax[at.block];
      second = unsigned_map[arrays.second[i]] * arrays.second_absmax[at.block];
      AdamW8bitWeight(step, arrays.gradients[i], arrays.values[i], first, second);
    }
    const int64_t left = arrays.count - at.block * kThreads, count = left < kThreads ? left : kThreads;
    // Each thread has one item, its own.
    shared.largest_first.ReduceItems(at, count, [&](int64_t) { return fabsf(first); });
    shared.largest_second.ReduceItems(at, count, [&](int64_t) { return fabsf(second); });
  }
  FT_HOST_DEVICE void Keep(const GridPoint& at, const Shared& shared) const {
    const float first = shared.largest_first.total, second = shared.largest_second.total;
    if (at.thread == 0) {
      arrays.first_absmax[at.block] = first;
      arrays.second_absmax[at.block] = second;
    }
    const int64_t i = at.index();
    if (i >= arrays.count) return;
    arrays.first[i] = AdamW8bitCode(signed_map, shared.first[at.thread], first);
    arrays.second[i] = AdamW8bitCode(unsigned_map, shared.second[at.thread], second);
  }
};

}  // namespace ft::kernels
