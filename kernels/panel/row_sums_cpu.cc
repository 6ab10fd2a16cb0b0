// The SIMD versions. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/panel/row_sums_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <algorithm>
#include <cstddef>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "kernels/number/prefetch.h"
#include "kernels/panel/row_sums.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Eight lanes, or a part of them after the other.
using Eight = hn::CappedTag<float, 8>;

constexpr int64_t kLanes = 8;
constexpr int64_t kSums = 4 * kLanes;

HWY_INLINE hn::Vec<Eight> LoadEight(const float* from) { return hn::LoadU(Eight(), from); }
HWY_INLINE hn::Vec<Eight> LoadEight(const BF16* from) {
  const hn::RebindToUnsigned<Eight> words;
  const hn::Rebind<uint16_t, Eight> halves;
  const auto bits = hn::LoadU(halves, reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(Eight(), hn::ShiftLeft<16>(hn::PromoteTo(words, bits)));
}

HWY_INLINE hn::Vec<Eight> LoadEight(const int8_t* from) {
  const hn::RebindToSigned<Eight> words;
  const hn::Rebind<int8_t, Eight> bytes;
  return hn::ConvertTo(Eight(), hn::PromoteTo(words, hn::LoadU(bytes, from)));
}

// sums[0 ...] go on with the products of `columns`, a multiple of kSums.
template <typename T>
HWY_INLINE void AddProducts(const T* w, const float* x, int64_t columns, float* sums) {
  const Eight d;
  for (int64_t part = 0; part < kLanes; part += static_cast<int64_t>(hn::Lanes(d))) {
    float* at = sums + part;
    auto s0 = hn::LoadU(d, at), s1 = hn::LoadU(d, at + kLanes), s2 = hn::LoadU(d, at + 2 * kLanes),
         s3 = hn::LoadU(d, at + 3 * kLanes);
    for (int64_t i = part; i < columns; i += kSums) {
      hwy::Prefetch(reinterpret_cast<const std::byte*>(w + i) + kPrefetchedBytes);
      s0 = hn::MulAdd(LoadEight(w + i), LoadEight(x + i), s0);
      s1 = hn::MulAdd(LoadEight(w + i + kLanes), LoadEight(x + i + kLanes), s1);
      s2 = hn::MulAdd(LoadEight(w + i + 2 * kLanes), LoadEight(x + i + 2 * kLanes), s2);
      s3 = hn::MulAdd(LoadEight(w + i + 3 * kLanes), LoadEight(x + i + 3 * kLanes), s3);
    }
    hn::StoreU(s0, d, at);
    hn::StoreU(s1, d, at + kLanes);
    hn::StoreU(s2, d, at + 2 * kLanes);
    hn::StoreU(s3, d, at + 3 * kLanes);
  }
}

// Of kSums accumulators, in pairs that lie 16, 8, 4, 2 and 1 apart.
HWY_INLINE float InPairs(const float* sums) {
  const Eight d;
  float e[kLanes];
  for (int64_t part = 0; part < kLanes; part += static_cast<int64_t>(hn::Lanes(d))) {
    const float* at = sums + part;
    const auto even = hn::Add(hn::LoadU(d, at), hn::LoadU(d, at + 2 * kLanes));
    const auto odd = hn::Add(hn::LoadU(d, at + kLanes), hn::LoadU(d, at + 3 * kLanes));
    hn::StoreU(hn::Add(even, odd), d, e + part);
  }
  return ((e[0] + e[4]) + (e[2] + e[6])) + ((e[1] + e[5]) + (e[3] + e[7]));
}

template <typename T>
HWY_INLINE float RowSum(const T* w, const float* x, int64_t columns) {
  float sums[kSums] = {};
  const int64_t whole = columns / kSums * kSums;
  AddProducts(w, x, whole, sums);
  if (whole < columns) {
    T w_rest[kSums] = {};
    float x_rest[kSums] = {};
    std::copy(w + whole, w + columns, w_rest);
    std::copy(x + whole, x + columns, x_rest);
    AddProducts(w_rest, x_rest, kSums, sums);
  }
  return InPairs(sums);
}

// `scale` may be null.
template <typename T>
void AllRowSums(const StridedRows<T>& weight, const float* scale, const StridedRows<float>& x, bool add,
                float* sums, int64_t stride) {
  for (int64_t output = 0; output < weight.rows; ++output) {
    const float factor = scale == nullptr ? 1 : scale[output];
    for (int64_t row = 0; row < x.rows; ++row) {
      float& sum = sums[row * stride + output];
      const float product =
          RowSum(weight.data + output * weight.stride, x.data + row * x.stride, x.columns) * factor;
      sum = product + (add ? sum : 0);
    }
  }
}

void RowSumsFloat(const StridedRows<float>& weight, const StridedRows<float>& x, bool add, float* sums,
                  int64_t stride) {
  AllRowSums(weight, nullptr, x, add, sums, stride);
}
void RowSumsBF16(const StridedRows<BF16>& weight, const StridedRows<float>& x, bool add, float* sums,
                 int64_t stride) {
  AllRowSums(weight, nullptr, x, add, sums, stride);
}
void RowSumsInt8(const StridedRows<int8_t>& codes, const float* scale, const StridedRows<float>& x, bool add,
                 float* sums, int64_t stride) {
  AllRowSums(codes, scale, x, add, sums, stride);
}

// Vectors of columns from `rows` and `sums` on, four or one, which stay in registers while rows pass by.
template <bool kFour, typename T>
HWY_INLINE void AddWeightedColumns(const StridedRows<T>& rows, const float* weight, float* sums) {
  const Eight d;
  constexpr int64_t kVector = static_cast<int64_t>(hn::MaxLanes(Eight()));
  auto s0 = hn::LoadU(d, sums), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
  if constexpr (kFour) {
    s1 = hn::LoadU(d, sums + kVector);
    s2 = hn::LoadU(d, sums + 2 * kVector);
    s3 = hn::LoadU(d, sums + 3 * kVector);
  }
  for (int64_t row = 0; row < rows.rows; ++row) {
    const auto factor = hn::Set(d, weight[row]);
    const T* at = rows.data + row * rows.stride;
    s0 = hn::MulAdd(factor, LoadEight(at), s0);
    if constexpr (kFour) {
      s1 = hn::MulAdd(factor, LoadEight(at + kVector), s1);
      s2 = hn::MulAdd(factor, LoadEight(at + 2 * kVector), s2);
      s3 = hn::MulAdd(factor, LoadEight(at + 3 * kVector), s3);
    }
  }
  hn::StoreU(s0, d, sums);
  if constexpr (kFour) {
    hn::StoreU(s1, d, sums + kVector);
    hn::StoreU(s2, d, sums + 2 * kVector);
    hn::StoreU(s3, d, sums + 3 * kVector);
  }
}

// The columns that are left, fewer than a vector: as zeros beside them.
template <typename T>
void AddWeightedRest(const StridedRows<T>& rows, const float* weight, float* sums) {
  float padded[kLanes] = {};
  std::copy_n(sums, rows.columns, padded);
  for (int64_t row = 0; row < rows.rows; ++row) {
    T rest[kLanes] = {};
    std::copy_n(rows.data + row * rows.stride, rows.columns, rest);
    AddWeightedColumns<false>(StridedRows<T>{rest, 1, kLanes, kLanes}, weight + row, padded);
  }
  std::copy_n(padded, rows.columns, sums);
}

template <typename T>
void AllWeightedRows(StridedRows<T> rows, const float* weight, float* sums) {
  constexpr int64_t kVector = static_cast<int64_t>(hn::MaxLanes(Eight()));
  const auto skip = [&](int64_t columns) {
    rows.data += columns;
    rows.columns -= columns;
    sums += columns;
  };
  for (; rows.columns >= 4 * kVector; skip(4 * kVector)) AddWeightedColumns<true>(rows, weight, sums);
  for (; rows.columns >= kVector; skip(kVector)) AddWeightedColumns<false>(rows, weight, sums);
  if (rows.columns > 0) AddWeightedRest(rows, weight, sums);
}

void AddWeightedRowsFloat(const StridedRows<float>& rows, const float* weight, float* sums) {
  AllWeightedRows(rows, weight, sums);
}
void AddWeightedRowsBF16(const StridedRows<BF16>& rows, const float* weight, float* sums) {
  AllWeightedRows(rows, weight, sums);
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(RowSumsFloat);
HWY_EXPORT(RowSumsBF16);
HWY_EXPORT(RowSumsInt8);
HWY_EXPORT(AddWeightedRowsFloat);
HWY_EXPORT(AddWeightedRowsBF16);

template <>
void RowSums<float>(const StridedRows<float>& weight, const StridedRows<float>& x, bool add, float* sums,
                    int64_t stride) {
  HWY_DYNAMIC_DISPATCH(RowSumsFloat)(weight, x, add, sums, stride);
}
template <>
void RowSums<BF16>(const StridedRows<BF16>& weight, const StridedRows<float>& x, bool add, float* sums,
                   int64_t stride) {
  HWY_DYNAMIC_DISPATCH(RowSumsBF16)(weight, x, add, sums, stride);
}
void ScaledRowSums(const StridedRows<int8_t>& codes, const float* scale, const StridedRows<float>& x,
                   bool add, float* sums, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(RowSumsInt8)(codes, scale, x, add, sums, stride);
}
template <>
void AddWeightedRows<float>(const StridedRows<float>& rows, const float* weight, float* sums) {
  HWY_DYNAMIC_DISPATCH(AddWeightedRowsFloat)(rows, weight, sums);
}
template <>
void AddWeightedRows<BF16>(const StridedRows<BF16>& rows, const float* weight, float* sums) {
  HWY_DYNAMIC_DISPATCH(AddWeightedRowsBF16)(rows, weight, sums);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
