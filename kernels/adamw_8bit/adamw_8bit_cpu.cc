#include <algorithm>

#include "kernels/adamw_8bit/adamw_8bit.h"

namespace ft::kernels {
namespace {

// One of the two moments of a block: its codes, and what they stand for during a step.
class Moment {
 public:
  Moment(const float* map, uint8_t* codes, float* absmax) : map_(map), codes_(codes), absmax_(absmax) {}

  float& Restore(int64_t i) { return values_[i] = map_[codes_[i]] * *absmax_; }

  void Keep(int64_t count) {
    float largest = 0;
    for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(values_[i]));
    *absmax_ = largest;
    for (int64_t i = 0; i < count; ++i) codes_[i] = AdamW8bitCode(map_, values_[i], largest);
  }

 private:
  const float* map_;
  uint8_t* codes_;
  float* absmax_;
  float values_[kAdamW8bitBlock];
};

}  // namespace

void AdamW8bit(const AdamW8bitStep& step, const AdamW8bitArrays& arrays, int64_t first_block,
               int64_t last_block) {
  for (int64_t block = first_block; block < last_block; ++block) {
    const int64_t begin = block * kAdamW8bitBlock, count = std::min(kAdamW8bitBlock, arrays.count - begin);
    Moment first(DynamicMapSigned(), arrays.first + begin, arrays.first_absmax + block);
    Moment second(DynamicMapUnsigned(), arrays.second + begin, arrays.second_absmax + block);
    for (int64_t i = 0; i < count; ++i) {
      AdamW8bitWeight(step, arrays.gradients[begin + i], arrays.values[begin + i], first.Restore(i),
                      second.Restore(i));
    }
    first.Keep(count);
    second.Keep(count);
  }
}

}  // namespace ft::kernels
