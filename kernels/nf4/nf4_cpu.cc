// The SIMD versions. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/nf4/nf4_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <algorithm>
#include <cmath>

#include "hwy/cache_control.h"
#include "kernels/nf4/nf4.h"
#include "kernels/number/vectors_inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

using Bytes = hn::Rebind<uint8_t, Floats>;

// Values that the widest vector looks up at once: two a byte.
constexpr int64_t kHalfBlock = 2 * kWidest;

// Entries of a table of 16 floats: looked up in the one or two registers that hold the table; a gather where vectors are shorter.
template <class V>
HWY_INLINE auto Lookup16(Floats d, const float* table, V indices) {
#if !HWY_HAVE_SCALABLE
  if constexpr (hn::MaxLanes(Floats()) == 16) {
    return hn::TableLookupLanes(hn::LoadU(d, table), hn::IndicesFromVec(d, indices));
  } else if constexpr (hn::MaxLanes(Floats()) == 8) {
    const auto within = hn::IndicesFromVec(d, hn::And(indices, hn::Set(Words(), 7)));
    const auto upper = hn::BitCast(d, hn::ShiftLeft<28>(indices));  // The sign says which half.
    return hn::IfNegativeThenElse(upper, hn::TableLookupLanes(hn::LoadU(d, table + 8), within),
                                  hn::TableLookupLanes(hn::LoadU(d, table), within));
  }
#endif
  return hn::GatherIndex(d, table, hn::BitCast(hn::RebindToSigned<Floats>(), indices));
}

// Those of a table whose first 8 are looked up.
template <class V>
HWY_INLINE auto Lookup8(Floats d, const float* table, V indices) {
#if !HWY_HAVE_SCALABLE
  if constexpr (hn::MaxLanes(Floats()) >= 8) {
    return hn::TableLookupLanes(hn::LoadU(d, table), hn::IndicesFromVec(d, indices));
  }
#endif
  return hn::GatherIndex(d, table, hn::BitCast(hn::RebindToSigned<Floats>(), indices));
}

// The 16 values of a block as T, so that each is multiplied and rounded once and then looked up: a float32,
// or the bits of a bfloat16 in the lower half of a word.
HWY_INLINE void BlockTable(float absmax, float*, float* table) {
  const Floats d;
  for (size_t i = 0; i < 16; i += hn::Lanes(d)) {
    hn::StoreU(hn::Mul(hn::LoadU(d, kNf4Code + i), hn::Set(d, absmax)), d, table + i);
  }
}
HWY_INLINE void BlockTable(float absmax, BF16*, float* table) {
  const Floats d;
  for (size_t i = 0; i < 16; i += hn::Lanes(d)) {
    const auto values = hn::Mul(hn::LoadU(d, kNf4Code + i), hn::Set(d, absmax));
    hn::StoreU(hn::BitCast(d, RoundedBits(values)), d, table + i);
  }
}

template <bool kStream>
HWY_INLINE void StorePair(Floats d, hn::Vec<Floats> high, hn::Vec<Floats> low, float* out) {
  hn::StoreInterleaved2(high, low, d, out);
}

template <bool kStream>
HWY_INLINE void StorePair(Floats d, hn::Vec<Floats> high, hn::Vec<Floats> low, BF16* out) {
  // The pair as one little-endian word: the first value in its low half.
  const Words w;
  const auto pair = hn::Or(hn::BitCast(w, high), hn::ShiftLeft<16>(hn::BitCast(w, low)));
  if constexpr (kStream) {
    hn::Stream(pair, w, reinterpret_cast<uint32_t*>(out));
  } else {
    hn::StoreU(pair, w, reinterpret_cast<uint32_t*>(out));
  }
}

// `size` values of one block, a multiple of kHalfBlock.
template <bool kStream, typename T>
HWY_INLINE void DequantiseWithin(const uint8_t* packed, float absmax, int64_t size, T* out) {
  const Floats d;
  const Words w;
  const auto mask = hn::Set(w, 15);
  HWY_ALIGN float table[16];
  BlockTable(absmax, out, table);
  for (int64_t i = 0; i < size / 2; i += Lanes()) {
    const auto pairs = hn::PromoteTo(w, hn::LoadU(Bytes(), packed + i));
    const auto high = Lookup16(d, table, hn::ShiftRight<4>(pairs));
    const auto low = Lookup16(d, table, hn::And(pairs, mask));
    StorePair<kStream>(d, high, low, out + 2 * i);
  }
}

// Values [first, last) of one block.
template <typename T>
void DequantiseScalar(const uint8_t* packed, float absmax, int64_t first, int64_t last, T* out) {
  for (int64_t i = first; i < last; ++i) {
    const uint8_t byte = packed[i / 2];
    *out++ = FromFloat<T>(Nf4Value(i % 2 == 0 ? byte >> 4 : byte & 15, absmax));
  }
}

template <bool kStream, typename T>
void DequantiseBlocks(const uint8_t* packed, const float* absmax, int64_t count, int64_t first, int64_t last,
                      T* out) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t start = block * kNf4Block;
    if (count - start >= kNf4Block) {
      DequantiseWithin<kStream>(packed + start / 2, absmax[block], kNf4Block, out + start);
    } else {
      DequantiseScalar(packed, absmax[block], start, count, out + start);
    }
  }
}

template <typename T>
void DequantisePart(const uint8_t* packed, const float* absmax, int64_t first, int64_t size, T* out) {
  const int64_t last = first + size;
  for (int64_t start = first; start < last;) {
    const int64_t block = start / kNf4Block, end = std::min(last, (block + 1) * kNf4Block);
    if (start % kHalfBlock == 0 && end % kHalfBlock == 0) {
      DequantiseWithin<false>(packed + start / 2, absmax[block], end - start, out);
    } else {
      DequantiseScalar(packed, absmax[block], start, end, out);
    }
    out += end - start;
    start = end;
  }
}

// Results too large for a cache go past it by non-temporal stores: their lines are not read first.
constexpr int64_t kStreamedBytes = 16 << 20;

template <typename T>
void Dequantise(const uint8_t* packed, const float* absmax, int64_t count, int64_t first, int64_t last,
                T* out) {
  const bool aligned = reinterpret_cast<uintptr_t>(out) % 64 == 0;
  if (aligned && count * static_cast<int64_t>(sizeof(T)) > kStreamedBytes) {
    DequantiseBlocks<true>(packed, absmax, count, first, last, out);
    hwy::FlushStream();
  } else {
    DequantiseBlocks<false>(packed, absmax, count, first, last, out);
  }
}
void DequantiseFloat(const uint8_t* packed, const float* absmax, int64_t count, int64_t first, int64_t last,
                     float* out) {
  Dequantise<float>(packed, absmax, count, first, last, out);
}
void DequantiseBF16(const uint8_t* packed, const float* absmax, int64_t count, int64_t first, int64_t last,
                    BF16* out) {
  Dequantise<BF16>(packed, absmax, count, first, last, out);
}

void PartFloat(const uint8_t* packed, const float* absmax, int64_t first, int64_t size, float* out) {
  DequantisePart(packed, absmax, first, size, out);
}
void PartBF16(const uint8_t* packed, const float* absmax, int64_t first, int64_t size, BF16* out) {
  DequantisePart(packed, absmax, first, size, out);
}

// Decision thresholds: the largest float not above the midpoint of codes i and i + 1, so that "scaled >
// threshold" and "scaled > midpoint" agree. A binary search asks for one of 1, 2, 4 and 8 of them, which the bits of the code that are found
// choose; rows are as long as the widest vector.
struct Thresholds {
  float steps[4][kWidest] = {};
  Thresholds() {
    for (int step = 0; step < 4; ++step) {
      const int distance = 16 >> step;
      for (int found = 0; found < 1 << step; ++found)
        steps[step][found] = Below(found * distance + distance / 2 - 1);
    }
  }
  static float Below(int i) {
    const double midpoint = (static_cast<double>(kNf4Code[i]) + static_cast<double>(kNf4Code[i + 1])) / 2;
    const float nearest = static_cast<float>(midpoint);
    return static_cast<double>(nearest) <= midpoint ? nearest : std::nextafterf(nearest, -2.0f);
  }
};

HWY_INLINE float AbsMax(const float* values) {
  const Floats d;
  auto maximum = hn::Zero(d);
  for (size_t i = 0; i < kNf4Block; i += hn::Lanes(d))
    maximum = hn::Max(maximum, hn::Abs(hn::LoadU(d, values + i)));
  return hn::GetLane(hn::MaxOfLanes(d, maximum));
}

// The codes of a vector: how many thresholds each value is above, a binary search in four steps, a bit of the code each.
HWY_INLINE hn::Vec<Words> CodesOf(const Thresholds& thresholds, hn::Vec<Floats> scaled) {
  const Floats d;
  const Words w;
  auto code = hn::Zero(w);
  for (const float* step : thresholds.steps) {
    const auto above = hn::Gt(scaled, Lookup8(d, step, code));
    // A mask of ones is -1.
    code = hn::Sub(hn::Add(code, code), hn::BitCast(w, hn::VecFromMask(d, above)));
  }
  return code;
}

#if HWY_TARGET == HWY_SCALAR

void PackBlock(const Thresholds& thresholds, const float* values, float absmax, uint8_t* packed) {
  for (int64_t i = 0; i < kNf4Block; i += 2) {
    packed[i / 2] =
        static_cast<uint8_t>(Nf4Nearest(values[i], absmax) << 4 | Nf4Nearest(values[i + 1], absmax));
  }
}

#else

// One whole block whose absmax is not zero.
HWY_INLINE void PackBlock(const Thresholds& thresholds, const float* values, float absmax, uint8_t* packed) {
  const Floats d;
  const hn::RepartitionToWide<Words> pairs;
  const hn::Rebind<uint8_t, decltype(pairs)> bytes;
  const auto scale = hn::Set(d, absmax);
  for (size_t i = 0; i < kNf4Block; i += hn::Lanes(d)) {
    const auto codes = hn::BitCast(pairs, CodesOf(thresholds, hn::Div(hn::LoadU(d, values + i), scale)));
    // The first of a pair lies in the low half of its word.
    const auto byte =
        hn::And(hn::Or(hn::ShiftLeft<4>(codes), hn::ShiftRight<32>(codes)), hn::Set(pairs, 0xff));
    hn::StoreU(hn::TruncateTo(bytes, byte), bytes, packed + i / 2);
  }
}

#endif

// A short last block, or one of zeros.
void PackScalar(const float* values, int64_t count, float absmax, uint8_t* packed) {
  for (int64_t i = 0; i < count; i += 2) {
    const int low = i + 1 < count ? Nf4Nearest(values[i + 1], absmax) : 0;
    packed[i / 2] = static_cast<uint8_t>(Nf4Nearest(values[i], absmax) << 4 | low);
  }
}

void Quantise(const float* values, int64_t count, int64_t first, int64_t last, uint8_t* packed,
              float* absmax) {
  static const Thresholds thresholds;
  for (int64_t block = first; block < last; ++block) {
    const int64_t start = block * kNf4Block, size = std::min(count - start, kNf4Block);
    float maximum = 0;
    if (size == kNf4Block) {
      maximum = AbsMax(values + start);
    } else {
      for (int64_t i = start; i < count; ++i) maximum = std::max(maximum, std::fabs(values[i]));
    }
    absmax[block] = maximum;
    if (maximum != 0 && size == kNf4Block) {
      PackBlock(thresholds, values + start, maximum, packed + start / 2);
    } else {
      PackScalar(values + start, size, maximum, packed + start / 2);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(Quantise);
HWY_EXPORT(DequantiseFloat);
HWY_EXPORT(DequantiseBF16);
HWY_EXPORT(PartFloat);
HWY_EXPORT(PartBF16);

void Nf4Quantise(const float* values, int64_t count, int64_t first, int64_t last, uint8_t* packed,
                 float* absmax) {
  HWY_DYNAMIC_DISPATCH(Quantise)(values, count, first, last, packed, absmax);
}

template <>
void Nf4Dequantise<float>(const uint8_t* packed, const float* absmax, int64_t count, int64_t first,
                          int64_t last, float* out) {
  HWY_DYNAMIC_DISPATCH(DequantiseFloat)(packed, absmax, count, first, last, out);
}

template <>
void Nf4Dequantise<BF16>(const uint8_t* packed, const float* absmax, int64_t count, int64_t first,
                         int64_t last, BF16* out) {
  HWY_DYNAMIC_DISPATCH(DequantiseBF16)(packed, absmax, count, first, last, out);
}

template <>
void Nf4DequantiseRange<float>(const uint8_t* packed, const float* absmax, int64_t first, int64_t size,
                               float* out) {
  HWY_DYNAMIC_DISPATCH(PartFloat)(packed, absmax, first, size, out);
}

template <>
void Nf4DequantiseRange<BF16>(const uint8_t* packed, const float* absmax, int64_t first, int64_t size,
                              BF16* out) {
  HWY_DYNAMIC_DISPATCH(PartBF16)(packed, absmax, first, size, out);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
