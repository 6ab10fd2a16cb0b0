#include <algorithm>

#include "kernels/squares/squares.h"

namespace ft::kernels {
namespace {

float BlockSum(const float* values, int64_t count) {
  float lanes[kSquaresLanes] = {};
  int64_t i = 0;
  for (; i + kSquaresLanes <= count; i += kSquaresLanes) {
    for (int lane = 0; lane < kSquaresLanes; ++lane) lanes[lane] += values[i + lane] * values[i + lane];
  }
  for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += values[i] * values[i];
  for (int width = kSquaresLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

}  // namespace

void SumsOfSquares(const float* values, int64_t count, int64_t first, int64_t last, float* sums) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t begin = block * kSquaresBlock;
    sums[block] = BlockSum(values + begin, std::min(kSquaresBlock, count - begin));
  }
}

}  // namespace ft::kernels
