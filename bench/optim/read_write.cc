#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/optim/read_write.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include "bench/optim/read_write.h"
#include "kernels/number/prefetch.h"
#include "kernels/number/vectors_inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

// Of each array as many values as AdamW takes in turn, four cache lines, and asked for as far ahead.
constexpr int64_t kTurn = 64;

void AddToEach(int64_t count, const float* added, float* first, float* second, float* third) {
  const int64_t whole = count / kTurn * kTurn;
  for (int64_t begin = 0; begin < whole; begin += kTurn) {
    for (const float* array : {added, static_cast<const float*>(first), static_cast<const float*>(second),
                               static_cast<const float*>(third)})
      PrefetchAhead(array + begin, kTurn * int64_t{sizeof(float)});
    for (float* sums : {first, second, third}) {
      for (int64_t i = begin; i < begin + kTurn; i += Lanes())
        Store(hn::Add(Load(sums + i), Load(added + i)), sums + i);
    }
  }
  for (int64_t i = whole; i < count; ++i) {
    for (float* sums : {first, second, third}) sums[i] += added[i];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {
HWY_EXPORT(AddToEach);
}  // namespace ft::kernels

namespace ft::optim {

void AddToThree(int64_t count, const float* added, float* first, float* second, float* third) {
  using namespace ft::kernels;
  HWY_DYNAMIC_DISPATCH(AddToEach)(count, added, first, second, third);
}

}  // namespace ft::optim
#endif  // HWY_ONCE
