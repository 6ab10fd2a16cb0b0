// The SIMD versions. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/panel/panel_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <cstring>
#include <type_traits>

#include "kernels/number/vectors_inl.h"
#include "kernels/panel/panel.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

// Packing moves words: float32 values, or pairs of bfloat16.
using Quad = hn::CappedTag<uint32_t, 4>;

template <typename In, typename Out>
HWY_INLINE hn::Vec<Quad> LoadQuad(const In* from) {
  const Quad d;
  if constexpr (std::is_same_v<In, Out>) {
    return hn::LoadU(d, reinterpret_cast<const uint32_t*>(from));
  } else {
    const hn::Rebind<uint16_t, Quad> half;
    return hn::ShiftLeft<16>(hn::PromoteTo(d, hn::LoadU(half, reinterpret_cast<const uint16_t*>(from))));
  }
}

template <typename Out>
HWY_INLINE Out Converted(Out value) {
  return value;
}
template <typename Out>
requires std::is_same_v<Out, float> HWY_INLINE Out Converted(BF16 value) { return ToFloat(value); }

// Transposes rows [first, last) from column `column` on.
template <typename In, typename Out>
void TransposeScalar(const StridedRows<In>& in, int64_t first, int64_t last, int64_t column, Out* out) {
  constexpr int64_t group = kGroup<Out>;
  for (int64_t row = first; row < last; ++row) {
    const In* from = in.data + row * in.stride;
    for (int64_t c = column; c < Grouped<Out>(in.columns); ++c) {
      out[c / group * group * in.rows + row * group + c % group] =
          c < in.columns ? Converted<Out>(from[c]) : Out{};
    }
  }
}

#if HWY_TARGET == HWY_SCALAR

template <typename In, typename Out>
void Transposed(const StridedRows<In>& in, Out* out) {
  TransposeScalar(in, 0, in.rows, 0, out);
}

#else

// Transposes whole quads of four rows; returns the column that follows them.
template <typename In, typename Out>
HWY_INLINE int64_t TransposeFour(const StridedRows<In>& in, int64_t row, Out* out) {
  constexpr int64_t group = kGroup<Out>;
  const Quad d;
  const In* from = in.data + row * in.stride;
  auto* to = reinterpret_cast<uint32_t*>(out) + row;
  int64_t column = 0;
  for (; column + 4 * group <= in.columns; column += 4 * group) {
    const auto a = LoadQuad<In, Out>(from + column), b = LoadQuad<In, Out>(from + in.stride + column),
               c = LoadQuad<In, Out>(from + 2 * in.stride + column),
               e = LoadQuad<In, Out>(from + 3 * in.stride + column);
    const auto low_ac = hn::InterleaveLower(d, a, c), low_be = hn::InterleaveLower(d, b, e),
               high_ac = hn::InterleaveUpper(d, a, c), high_be = hn::InterleaveUpper(d, b, e);
    hn::StoreU(hn::InterleaveLower(d, low_ac, low_be), d, to);
    hn::StoreU(hn::InterleaveUpper(d, low_ac, low_be), d, to + in.rows);
    hn::StoreU(hn::InterleaveLower(d, high_ac, high_be), d, to + 2 * in.rows);
    hn::StoreU(hn::InterleaveUpper(d, high_ac, high_be), d, to + 3 * in.rows);
    to += 4 * in.rows;
  }
  return column;
}

template <typename In, typename Out>
void Transposed(const StridedRows<In>& in, Out* out) {
  int64_t row = 0;
  for (; row + 4 <= in.rows; row += 4) TransposeScalar(in, row, row + 4, TransposeFour(in, row, out), out);
  TransposeScalar(in, row, in.rows, 0, out);
}

#endif

// Interleaves two rows of bfloat16; the second may be null, which stands for zeros.
HWY_INLINE void PackPair(const BF16* first, const BF16* second, int64_t columns, BF16* out) {
  const hn::CappedTag<uint16_t, 32> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto *low = reinterpret_cast<const uint16_t*>(first),
             *high = reinterpret_cast<const uint16_t*>(second);
  int64_t c = 0;
  for (; c + lanes <= columns; c += lanes) {
    const auto upper = high == nullptr ? hn::Zero(d) : hn::LoadU(d, high + c);
    hn::StoreInterleaved2(hn::LoadU(d, low + c), upper, d, reinterpret_cast<uint16_t*>(out + 2 * c));
  }
  for (; c < columns; ++c) {
    out[2 * c] = first[c];
    out[2 * c + 1] = second == nullptr ? BF16{} : second[c];
  }
}

template <typename In, typename Out>
void Copy(const StridedRows<In>& in, Out* out) {
  for (int64_t row = 0; row < in.rows; ++row) {
    const In* from = in.data + row * in.stride;
    Out* to = out + row * in.columns;
    if constexpr (std::is_same_v<In, Out>) {
      std::memcpy(to, from, static_cast<size_t>(in.columns) * sizeof(Out));
    } else {
      OverVectors(in.columns, [=](int64_t c, int64_t n) HWY_ATTR { StoreN(LoadN(from + c, n), to + c, n); });
    }
  }
}

template <typename In, typename Out>
void Packed(const StridedRows<In>& in, Out* out) {
  if constexpr (kGroup<Out> == 1) {
    Copy(in, out);
  } else {
    for (int64_t row = 0; row < in.rows; row += 2) {
      const In* first = in.data + row * in.stride;
      PackPair(first, row + 1 < in.rows ? first + in.stride : nullptr, in.columns, out + row * in.columns);
    }
  }
}

template <typename T>
void StoreRows(const StridedRows<float>& sums, const StoredSums<T>& to) {
  const auto scale = hn::Set(Floats(), to.scale);
  for (int64_t row = 0; row < sums.rows; ++row) {
    const float* from = sums.data + row * sums.stride;
    const float* start = to.start == nullptr ? nullptr : to.start + row * to.stride;
    T* out = to.out + row * to.stride;
    OverVectors(sums.columns, [=, &to](int64_t c, int64_t n) HWY_ATTR {
      auto value = hn::Mul(LoadN(from + c, n), scale);
      if (start != nullptr) value = hn::Add(value, LoadN(start + c, n));
      if (to.bias != nullptr) value = hn::Add(value, LoadN(to.bias + c, n));
      StoreN(value, out + c, n);
    });
  }
}

#define FT_PER_PAIR(In, Out, Suffix)                                                             \
  void Transposed##Suffix(const StridedRows<In>& in, Out* out) { Transposed<In, Out>(in, out); } \
  void Packed##Suffix(const StridedRows<In>& in, Out* out) { Packed<In, Out>(in, out); }         \
  void Copy##Suffix(const StridedRows<In>& in, Out* out) { Copy<In, Out>(in, out); }
FT_PER_PAIR(float, float, Float)
FT_PER_PAIR(BF16, BF16, BF16)
FT_PER_PAIR(BF16, float, Widened)
#undef FT_PER_PAIR
void StoreFloat(const StridedRows<float>& sums, const StoredSums<float>& to) { StoreRows(sums, to); }
void StoreBF16(const StridedRows<float>& sums, const StoredSums<BF16>& to) { StoreRows(sums, to); }

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

#define FT_PER_PAIR(In, Out, Suffix)                                  \
  HWY_EXPORT(Transposed##Suffix);                                     \
  HWY_EXPORT(Packed##Suffix);                                         \
  HWY_EXPORT(Copy##Suffix);                                           \
  template <>                                                         \
  void PackTransposed<In, Out>(const StridedRows<In>& in, Out* out) { \
    HWY_DYNAMIC_DISPATCH(Transposed##Suffix)(in, out);                \
  }                                                                   \
  template <>                                                         \
  void PackRows<In, Out>(const StridedRows<In>& in, Out* out) {       \
    HWY_DYNAMIC_DISPATCH(Packed##Suffix)(in, out);                    \
  }                                                                   \
  template <>                                                         \
  void CopyRows<In, Out>(const StridedRows<In>& in, Out* out) {       \
    HWY_DYNAMIC_DISPATCH(Copy##Suffix)(in, out);                      \
  }
FT_PER_PAIR(float, float, Float)
FT_PER_PAIR(BF16, BF16, BF16)
FT_PER_PAIR(BF16, float, Widened)
#undef FT_PER_PAIR

HWY_EXPORT(StoreFloat);
HWY_EXPORT(StoreBF16);
template <>
void StoreSums<float>(const StridedRows<float>& sums, const StoredSums<float>& to) {
  HWY_DYNAMIC_DISPATCH(StoreFloat)(sums, to);
}
template <>
void StoreSums<BF16>(const StridedRows<float>& sums, const StoredSums<BF16>& to) {
  HWY_DYNAMIC_DISPATCH(StoreBF16)(sums, to);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
