// Double quantisation of block maxima, once a model: plain code.
#include <algorithm>
#include <cmath>

#include "kernels/dynamic_map/dynamic_map.h"
#include "kernels/nf4/nf4.h"

namespace ft::kernels {

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
      out.codes[i] = NearestInMap(map, maximum == 0 ? 0.0f : (absmax[i] - offset) / maximum);
    }
  }
}

}  // namespace ft::kernels
