#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/optim/read_write.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include "bench/optim/read_write.h"
#include "kernels/number/vectors_inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

void AddToEach(int64_t count, const float* added, float* first, float* second, float* third) {
  OverVectors(count, [=](int64_t i, int64_t n) HWY_ATTR {
    const auto more = LoadN(added + i, n);
    StoreN(hn::Add(LoadN(first + i, n), more), first + i, n);
    StoreN(hn::Add(LoadN(second + i, n), more), second + i, n);
    StoreN(hn::Add(LoadN(third + i, n), more), third + i, n);
  });
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
