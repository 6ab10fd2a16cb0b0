// Block maxima out of their codes. Compiled once for every instruction set (foreach_target.h includes it again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/nf4/nf4_restore_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <algorithm>

#include "hwy/highway.h"
#include "kernels/dynamic_map/dynamic_map.h"
#include "kernels/nf4/nf4.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Of codes that share a maximum. Products are rounded before they are added to, on every CPU: the file is compiled without contraction.
void Restore(const uint8_t* codes, int64_t count, float absmax, float offset, float* out) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> indices;
  const hn::Rebind<uint8_t, decltype(d)> bytes;
  const float* const map = DynamicMapSigned();
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto values = hn::GatherIndex(d, map, hn::PromoteTo(indices, hn::LoadU(bytes, codes + i)));
    hn::StoreU(hn::Add(hn::Mul(values, hn::Set(d, absmax)), hn::Set(d, offset)), d, out + i);
  }
  for (; i < count; ++i) out[i] = NestedValue(map[codes[i]], absmax, offset);
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(Restore);

void NestedDequantise(const NestedIn& in, int64_t first, int64_t last, float* out) {
  for (int64_t start = first; start < last;) {
    const int64_t nested = start / kNestedBlock, end = std::min(last, (nested + 1) * kNestedBlock);
    HWY_DYNAMIC_DISPATCH(Restore)
    (in.codes + start, end - start, in.nested_absmax[nested], in.offset, out + start - first);
    start = end;
  }
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
