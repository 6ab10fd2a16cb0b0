// The SIMD version of dropout. This file is compiled once for every instruction set (foreach_target.h
// includes it again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/philox/philox_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <algorithm>

#include "hwy/highway.h"
#include "kernels/philox/philox.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Blocks computed side by side: word w of block i, the random number of channel 4 * i + w, goes to that index.
constexpr size_t kWide = 16;

#if HWY_TARGET == HWY_SCALAR

HWY_INLINE void PhiloxWide(uint64_t key, PhiloxBlock counter, uint32_t* words) {
  for (size_t i = 0; i < kWide; ++i, ++counter.word[0]) {
    const PhiloxBlock block = Philox(key, counter);
    for (size_t w = 0; w < 4; ++w) words[4 * i + w] = block.word[w];
  }
}

#else

using Words = hn::CappedTag<uint32_t, kWide>;
using Vector = hn::Vec<Words>;

// The high halves of the 64-bit products.
HWY_INLINE Vector MulHigh(Vector a, Vector b) {
  const Words d;
  const hn::RepartitionToWide<Words> wide;
  const auto even = hn::MulEven(a, b);
  const auto odd = hn::MulEven(hn::BitCast(d, hn::ShiftRight<32>(hn::BitCast(wide, a))), b);
  return hn::OddEven(hn::BitCast(d, odd), hn::BitCast(d, hn::ShiftRight<32>(even)));
}

// Sixteen blocks, whose counters differ by one in their first word.
HWY_INLINE void PhiloxWide(uint64_t key, PhiloxBlock counter, uint32_t* words) {
  const Words d;
  const auto first_factor = hn::Set(d, 0xD2511F53u), second_factor = hn::Set(d, 0xCD9E8D57u);
  for (size_t start = 0; start < kWide; start += hn::Lanes(d)) {
    auto c0 = hn::Iota(d, counter.word[0] + static_cast<uint32_t>(start));
    auto c1 = hn::Set(d, counter.word[1]), c2 = hn::Set(d, counter.word[2]), c3 = hn::Set(d, counter.word[3]);
    uint32_t key_low = static_cast<uint32_t>(key), key_high = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
      const auto high0 = MulHigh(c0, first_factor), low0 = hn::Mul(c0, first_factor);
      const auto high2 = MulHigh(c2, second_factor), low2 = hn::Mul(c2, second_factor);
      c0 = hn::Xor(hn::Xor(high2, c1), hn::Set(d, key_low));
      c1 = low2;
      c2 = hn::Xor(hn::Xor(high0, c3), hn::Set(d, key_high));
      c3 = low0;
      key_low += 0x9E3779B9u;
      key_high += 0xBB67AE85u;
    }
    hn::StoreInterleaved4(c0, c1, c2, c3, d, words + 4 * start);
  }
}

#endif

template <typename T>
void DropoutRows(const DropoutShape& shape, int64_t first, int64_t last, const T* x, T* y) {
  const uint32_t threshold = DropoutThreshold(shape);
  const float factor = DropoutFactor(shape);
  constexpr int64_t kStride = 4 * static_cast<int64_t>(kWide);
  HWY_ALIGN uint32_t words[kStride];
  for (int64_t row = first; row < last; ++row) {
    const T* in = x + row * shape.channels;
    T* out = y + row * shape.channels;
    for (int64_t base = 0; base < shape.channels; base += kStride) {
      PhiloxWide(shape.key, DropoutCounter(shape, row, base), words);
      const int64_t count = std::min(kStride, shape.channels - base);
      for (int64_t i = 0; i < count; ++i) {
        const float kept = words[i] >= threshold ? factor : 0.0f;
        out[base + i] = FromFloat<T>(ToFloat(in[base + i]) * kept);
      }
    }
  }
}

void DropoutFloat(const DropoutShape& shape, int64_t first, int64_t last, const float* x, float* y) {
  DropoutRows<float>(shape, first, last, x, y);
}
void DropoutBF16(const DropoutShape& shape, int64_t first, int64_t last, const BF16* x, BF16* y) {
  DropoutRows<BF16>(shape, first, last, x, y);
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(DropoutFloat);
HWY_EXPORT(DropoutBF16);

template <>
void Dropout<float>(const DropoutShape& shape, int64_t first, int64_t last, const float* x, float* y) {
  HWY_DYNAMIC_DISPATCH(DropoutFloat)(shape, first, last, x, y);
}

template <>
void Dropout<BF16>(const DropoutShape& shape, int64_t first, int64_t last, const BF16* x, BF16* y) {
  HWY_DYNAMIC_DISPATCH(DropoutBF16)(shape, first, last, x, y);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
