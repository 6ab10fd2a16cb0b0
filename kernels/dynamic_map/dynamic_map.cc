#include "kernels/dynamic_map/dynamic_map.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace ft::kernels {
namespace {

using Map = std::array<float, 256>;

// Midpoints of equal steps from 0.1 to 1 in float32, as the map's authors computed them: the lower half
// counted from below, the upper from above, each point rounded once.
void AddDecade(int decade, bool is_signed, Map& map, size_t& used) {
  const int points = (1 << (is_signed ? decade : decade + 1)) + 1;
  const float start = 0.1f, end = 1.0f, step = (end - start) / static_cast<float>(points - 1);
  const auto point = [&](int i) {
    return i < points / 2 ? std::fma(step, static_cast<float>(i), start)
                          : std::fma(-step, static_cast<float>(points - 1 - i), end);
  };
  const float scale = static_cast<float>(std::pow(10.0, decade - 6));
  for (int i = 0; i + 1 < points; ++i) {
    const float middle = (point(i) + point(i + 1)) / 2;
    map[used++] = scale * middle;
    if (is_signed) map[used++] = -(scale * middle);
  }
}

Map MakeMap(bool is_signed) {
  Map map{};
  size_t used = 0;
  for (int decade = 0; decade < 7; ++decade) AddDecade(decade, is_signed, map, used);
  map[used++] = 0;
  map[used++] = 1;
  std::sort(map.begin(), map.end());
  return map;
}

}  // namespace

const float* DynamicMapSigned() {
  static const Map map = MakeMap(/*is_signed=*/true);
  return map.data();
}

const float* DynamicMapUnsigned() {
  static const Map map = MakeMap(/*is_signed=*/false);
  return map.data();
}

}  // namespace ft::kernels
