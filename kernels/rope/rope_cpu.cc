// The SIMD version. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rope/rope_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <algorithm>

#include "kernels/number/vectors_inl.h"
#include "kernels/rope/rope.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

// The half-split pairs of one head.
template <typename T>
HWY_INLINE void RotateHalves(int64_t half, const float* cosine, const float* sine, Vector sign, const T* in,
                             T* out) {
  OverVectors(half, [=](int64_t i, int64_t n) HWY_ATTR {
    const auto a = LoadN(in + i, n), b = LoadN(in + half + i, n);
    const auto c = LoadN(cosine + i, n), s = hn::Mul(sign, LoadN(sine + i, n));
    StoreN(hn::Sub(hn::Mul(a, c), hn::Mul(b, s)), out + i, n);
    StoreN(hn::Add(hn::Mul(b, c), hn::Mul(a, s)), out + half + i, n);
  });
}

// Its neighbouring pairs.
template <typename T>
HWY_INLINE void RotateNeighbours(int64_t pairs, const float* cosine, const float* sine, float direction,
                                 const T* in, T* out) {
  for (int64_t i = 0; i < pairs; ++i) {
    const RopePair rotated =
        RotatePair({ToFloat(in[2 * i]), ToFloat(in[2 * i + 1])}, cosine[i], direction * sine[i]);
    out[2 * i] = FromFloat<T>(rotated.first);
    out[2 * i + 1] = FromFloat<T>(rotated.second);
  }
}

template <typename T>
void Rotate(const RopeShape& shape, const RopeAngles& angles, const RopeHeads<T>& heads, int64_t first,
            int64_t last) {
  const int64_t pairs = shape.Pairs(), rest = shape.head_size - 2 * pairs;
  const auto sign = hn::Set(Floats(), angles.direction);
  for (int64_t row = first; row < last; ++row) {
    const float* cosine = angles.cosine + angles.position[row] * pairs;
    const float* sine = angles.sine + angles.position[row] * pairs;
    for (int64_t head = 0; head < heads.heads; ++head) {
      const T* in = heads.Row(shape, row) + head * shape.head_size;
      T* out = heads.RowOfY(shape, row) + head * shape.head_size;
      if (shape.neighbours) {
        RotateNeighbours(pairs, cosine, sine, angles.direction, in, out);
      } else {
        RotateHalves(pairs, cosine, sine, sign, in, out);
      }
      if (rest > 0 && in != out) std::copy_n(in + 2 * pairs, rest, out + 2 * pairs);
    }
  }
}
void RotateFloat(const RopeShape& shape, const RopeAngles& angles, const RopeHeads<float>& heads,
                 int64_t first, int64_t last) {
  Rotate(shape, angles, heads, first, last);
}
void RotateBF16(const RopeShape& shape, const RopeAngles& angles, const RopeHeads<BF16>& heads, int64_t first,
                int64_t last) {
  Rotate(shape, angles, heads, first, last);
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(RotateFloat);
HWY_EXPORT(RotateBF16);

template <>
void Rope<float>(const RopeShape& shape, const RopeAngles& angles, const RopeHeads<float>& heads,
                 int64_t first, int64_t last) {
  HWY_DYNAMIC_DISPATCH(RotateFloat)(shape, angles, heads, first, last);
}
template <>
void Rope<BF16>(const RopeShape& shape, const RopeAngles& angles, const RopeHeads<BF16>& heads, int64_t first,
                int64_t last) {
  HWY_DYNAMIC_DISPATCH(RotateBF16)(shape, angles, heads, first, last);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
