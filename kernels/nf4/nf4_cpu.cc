// The SIMD versions. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/nf4/nf4_cpu.cc"
#include "hwy/foreach_target.h"
// Behind it, as Highway asks.
#include <algorithm>
#include <cmath>

#include "hwy/highway.h"
#include "kernels/nf4/nf4.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that every block of 32 bytes is a whole number of vectors.
using Floats = hn::CappedTag<float, 16>;
using Words = hn::RebindToUnsigned<Floats>;
using Bytes = hn::Rebind<uint8_t, Floats>;

// Codes to their values: one table look-up where a register holds the table, else a gather.
template <class V>
HWY_INLINE auto CodeValues(Floats d, V codes) {
  if constexpr (hn::MaxLanes(Floats()) == 16 && !HWY_HAVE_SCALABLE) {
    return hn::TableLookupLanes(hn::LoadU(d, kNf4Code), hn::IndicesFromVec(d, codes));
  } else {
    return hn::GatherIndex(d, kNf4Code, hn::BitCast(hn::RebindToSigned<Floats>(), codes));
  }
}

HWY_INLINE void StorePair(Floats d, hn::Vec<Floats> high, hn::Vec<Floats> low, float* out) {
  hn::StoreInterleaved2(high, low, d, out);
}

// Round to nearest even into the upper half; products of codes and finite maxima are never NaN, and infinity
// keeps its bits.
HWY_INLINE hn::Vec<Words> RoundBF16(hn::Vec<Floats> value) {
  const Words w;
  const auto bits = hn::BitCast(w, value);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(w, 1));
  return hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(w, 0x7fff))));
}

HWY_INLINE void StorePair(Floats d, hn::Vec<Floats> high, hn::Vec<Floats> low, BF16* out) {
  // The pair as one little-endian word: the first value in its low half.
  hn::StoreU(hn::Or(RoundBF16(high), hn::ShiftLeft<16>(RoundBF16(low))), Words(),
             reinterpret_cast<uint32_t*>(out));
}

// One whole block.
template <typename T>
HWY_INLINE void DequantiseBlock(const uint8_t* packed, float absmax, T* out) {
  const Floats d;
  const Words w;
  const auto scale = hn::Set(d, absmax);
  const auto mask = hn::Set(w, 15);
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < kNf4Block / 2; i += lanes) {
    const auto pairs = hn::PromoteTo(w, hn::LoadU(Bytes(), packed + i));
    const auto high = hn::Mul(CodeValues(d, hn::ShiftRight<4>(pairs)), scale);
    const auto low = hn::Mul(CodeValues(d, hn::And(pairs, mask)), scale);
    StorePair(d, high, low, out + 2 * i);
  }
}

template <typename T>
void Dequantise(const uint8_t* packed, const float* absmax, int64_t count, int64_t first, int64_t last,
                T* out) {
  for (int64_t block = first; block < last; ++block) {
    const int64_t start = block * kNf4Block;
    if (count - start >= kNf4Block) {
      DequantiseBlock(packed + start / 2, absmax[block], out + start);
      continue;
    }
    for (int64_t i = start; i < count; ++i) {
      const uint8_t byte = packed[i / 2];
      out[i] = FromFloat<T>(Nf4Value(i % 2 == 0 ? byte >> 4 : byte & 15, absmax[block]));
    }
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

// The largest float not above the middle of codes i and i + 1: "scaled > middle" says the same of both.
struct Thresholds {
  float below[15];
  Thresholds() {
    for (int i = 0; i < 15; ++i) {
      const double middle = (static_cast<double>(kNf4Code[i]) + static_cast<double>(kNf4Code[i + 1])) / 2;
      const float nearest = static_cast<float>(middle);
      below[i] = static_cast<double>(nearest) <= middle ? nearest : std::nextafterf(nearest, -2.0f);
    }
  }
};

// Codes of one whole block, one a word.
HWY_INLINE void BlockCodes(const Thresholds& thresholds, const float* values, float absmax, uint32_t* codes) {
  const Floats d;
  const Words w;
  const auto scale = hn::Set(d, absmax);
  const size_t lanes = hn::Lanes(d);
  for (size_t i = 0; i < kNf4Block; i += lanes) {
    const auto scaled = hn::Div(hn::LoadU(d, values + i), scale);
    auto code = hn::Zero(w);
    for (float threshold : thresholds.below) {
      const auto above = hn::Gt(scaled, hn::Set(d, threshold));
      code = hn::Sub(code, hn::BitCast(w, hn::VecFromMask(d, above)));  // A true lane is -1.
    }
    hn::StoreU(code, w, codes + i);
  }
}

void Quantise(const float* values, int64_t count, int64_t first, int64_t last, uint8_t* packed,
              float* absmax) {
  static const Thresholds thresholds;
  for (int64_t block = first; block < last; ++block) {
    const int64_t start = block * kNf4Block, end = std::min(count, start + kNf4Block);
    float largest = 0;
    for (int64_t i = start; i < end; ++i) largest = std::max(largest, std::fabs(values[i]));
    absmax[block] = largest;
    HWY_ALIGN uint32_t codes[kNf4Block] = {};
    if (largest != 0 && end - start == kNf4Block) {
      BlockCodes(thresholds, values + start, largest, codes);
    } else {
      for (int64_t i = start; i < end; ++i) codes[i - start] = Nf4Nearest(values[i], largest);
    }
    for (int64_t i = start; i < end; i += 2) {
      packed[i / 2] = static_cast<uint8_t>(codes[i - start] << 4 | (i + 1 < end ? codes[i - start + 1] : 0));
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

}  // namespace ft::kernels
#endif  // HWY_ONCE
