// Double quantisation of block maxima: 1/64 of the work, so plain code.
#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/nf4/nf4.h"

namespace ft::kernels {
namespace {

// Midpoints of equal steps from 0.1 to 1 in float32, as the map's authors computed them: the lower half
// counted from below, the upper from above, each point rounded once.
void AddDecade(int decade, std::array<float, 256>& map, size_t& used) {
  const int points = (1 << decade) + 1;
  const float start = 0.1f, end = 1.0f, step = (end - start) / static_cast<float>(points - 1);
  const auto point = [&](int i) {
    return i < points / 2 ? std::fma(step, static_cast<float>(i), start)
                          : std::fma(-step, static_cast<float>(points - 1 - i), end);
  };
  const float scale = static_cast<float>(std::pow(10.0, decade - 6));
  for (int i = 0; i + 1 < points; ++i) {
    const float middle = (point(i) + point(i + 1)) / 2;
    map[used++] = scale * middle;
    map[used++] = -(scale * middle);
  }
}

std::array<float, 256> MakeDynamicMap() {
  std::array<float, 256> map{};
  size_t used = 0;
  for (int decade = 0; decade < 7; ++decade) AddDecade(decade, map, used);
  map[used++] = 0;
  map[used++] = 1;
  std::sort(map.begin(), map.end());
  return map;
}

// The index of the nearest value; the lower of two equally near. Without branches: the maxima of a weight lie
// all over the map, and every wrong guess of the processor would cost more than the search.
uint8_t NearestIndex(const float* map, float value) {
  int upper = 0;  // The number of map values below `value`.
  for (int step = 128; step > 0; step /= 2) upper += map[upper + step - 1] < value ? step : 0;
  const int lower = std::max(upper - 1, 0);
  const double below = static_cast<double>(value) - static_cast<double>(map[lower]);
  const double above = static_cast<double>(map[upper]) - static_cast<double>(value);
  return static_cast<uint8_t>(below <= above ? lower : upper);
}

}  // namespace

const float* DynamicMapSigned() {
  static const std::array<float, 256> map = MakeDynamicMap();
  return map.data();
}

float NestedOffset(const float* absmax, int64_t blocks) {
  double sum = 0;
  for (int64_t i = 0; i < blocks; ++i) sum += static_cast<double>(absmax[i]);
  return static_cast<float>(sum / static_cast<double>(blocks));
}

void NestedQuantise(const float* absmax, int64_t blocks, float offset, int64_t first, int64_t last,
                    const NestedOut& out) {
  const float* map = DynamicMapSigned();
  for (int64_t nested = first; nested < last; ++nested) {
    const int64_t start = nested * kNestedBlock, end = std::min(blocks, start + kNestedBlock);
    float maximum = 0;
    for (int64_t i = start; i < end; ++i) maximum = std::max(maximum, std::fabs(absmax[i] - offset));
    out.nested_absmax[nested] = maximum;
    for (int64_t i = start; i < end; ++i) {
      out.codes[i] = NearestIndex(map, maximum == 0 ? 0.0f : (absmax[i] - offset) / maximum);
    }
  }
}

void NestedDequantise(const NestedIn& in, int64_t first, int64_t last, float* out) {
  const float* map = DynamicMapSigned();
  for (int64_t i = first; i < last; ++i) {
    out[i - first] = NestedValue(map[in.codes[i]], in.nested_absmax[i / kNestedBlock], in.offset);
  }
}

}  // namespace ft::kernels
