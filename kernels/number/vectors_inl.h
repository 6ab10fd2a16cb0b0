// Vectors of up to 16 floats, loaded from and stored to float32 or bfloat16, for kernels that Highway
// compiles once for every instruction set. Included inside such files after foreach_target.h, hence the guard
// instead of #pragma once.
#if defined(FT_KERNELS_NUMBER_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FT_KERNELS_NUMBER_VECTORS_INL_H_
#undef FT_KERNELS_NUMBER_VECTORS_INL_H_
#else
#define FT_KERNELS_NUMBER_VECTORS_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "hwy/highway.h"
#include "kernels/number/bf16.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::CappedTag<float, 16>;
using Words = hn::RebindToUnsigned<Floats>;
using Halves = hn::Rebind<uint16_t, Floats>;
using Vector = hn::Vec<Floats>;

constexpr int64_t kWidest = 16;

HWY_INLINE int64_t Lanes() { return static_cast<int64_t>(hn::Lanes(Floats())); }

HWY_INLINE Vector Load(const float* from) { return hn::LoadU(Floats(), from); }
HWY_INLINE Vector Load(const BF16* from) {
  const auto bits = hn::LoadU(Halves(), reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(Floats(), hn::ShiftLeft<16>(hn::PromoteTo(Words(), bits)));
}

HWY_INLINE void Store(Vector value, float* to) { hn::StoreU(value, Floats(), to); }
// The bits of each value rounded to bfloat16, in the lower half of its word: to nearest even, as
// FromFloat<BF16> rounds; NaN stays NaN.
HWY_INLINE hn::Vec<Words> RoundedBits(Vector value) {
  const Words w;
  const auto bits = hn::BitCast(w, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(w, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(w, 0x7fff))));
  const auto quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(w, 0x40));
  return hn::IfThenElse(hn::RebindMask(w, hn::IsNaN(value)), quiet, rounded);
}

// Two vectors rounded, each value of the first in the lower half of a word, its partner in the upper.
HWY_INLINE hn::Vec<Words> RoundedPairs(Vector low, Vector high) {
  return hn::Or(RoundedBits(low), hn::ShiftLeft<16>(RoundedBits(high)));
}

HWY_INLINE void Store(Vector value, BF16* to) {
  hn::StoreU(hn::TruncateTo(Halves(), RoundedBits(value)), Halves(), reinterpret_cast<uint16_t*>(to));
}

// The first `count` values, the other lanes zero.
template <typename T>
HWY_INLINE Vector LoadN(const T* from, int64_t count) {
  if (count >= Lanes()) return Load(from);
  T part[kWidest] = {};
  std::copy_n(from, count, part);
  return Load(part);
}

template <typename T>
HWY_INLINE void StoreN(Vector value, T* to, int64_t count) {
  if (count >= Lanes()) return Store(value, to);
  T part[kWidest];
  Store(value, part);
  std::copy_n(part, count, to);
}

// Calls body(i, n) for each vector of `count` values: it begins at i and holds n values, fewer in the last.
template <typename Body>
HWY_INLINE void OverVectors(int64_t count, Body body) {
  for (int64_t i = 0; i < count; i += Lanes()) body(i, std::min(Lanes(), count - i));
}

// term(i, n) summed over all vectors in one order, whatever the vectors' width: lane k of 16 takes every 16th
// value, then the lanes are added in pairs. term must give zero in lanes from n on.
template <typename Term>
HWY_INLINE float LaneSum(int64_t count, Term term) {
  float lanes[kWidest] = {};
  const int64_t width = Lanes();
  for (int64_t part = 0; part < kWidest; part += width) {
    auto sum = hn::Zero(Floats());
    for (int64_t i = part; i < count; i += kWidest) sum = hn::Add(sum, term(i, std::min(width, count - i)));
    Store(sum, lanes + part);
  }
  for (int64_t half = kWidest / 2; half > 0; half /= 2) {
    for (int64_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#endif  // FT_KERNELS_NUMBER_VECTORS_INL_H_
