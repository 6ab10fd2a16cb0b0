// The SIMD versions. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/swiglu/swiglu_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include "hwy/contrib/math/math-inl.h"
#include "kernels/number/vectors_inl.h"
#include "kernels/swiglu/swiglu.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

HWY_INLINE Vector SigmoidOf(Vector value) {
  const Floats d;
  const auto one = hn::Set(d, 1.0f);
  // Above 88 Highway's exponential is not defined, and the sigmoid is below 1e-38.
  const auto power = hn::Exp(d, hn::Min(hn::Neg(value), hn::Set(d, 88.0f)));
  return hn::Div(one, hn::Add(one, power));
}

template <typename T>
void Forward(int64_t count, const T* gate, const T* up, T* y) {
  OverVectors(count, [=](int64_t i, int64_t n) HWY_ATTR {
    const auto g = LoadN(gate + i, n);
    StoreN(hn::Mul(hn::Mul(g, SigmoidOf(g)), LoadN(up + i, n)), y + i, n);
  });
}

void ForwardRounded(int64_t count, const float* gate, const float* up, const SwigluRounded& out) {
  OverVectors(count, [=, &out](int64_t i, int64_t n) HWY_ATTR {
    const auto g = LoadN(gate + i, n), u = LoadN(up + i, n);
    StoreN(hn::Mul(hn::Mul(g, SigmoidOf(g)), u), out.y + i, n);
    if (out.gate == nullptr) return;
    StoreN(g, out.gate + i, n);
    StoreN(u, out.up + i, n);
  });
}

template <typename T>
void Backward(int64_t count, const SwigluIn<T>& in, T* dgate, T* dup) {
  OverVectors(count, [=, &in](int64_t i, int64_t n) HWY_ATTR {
    const auto one = hn::Set(Floats(), 1.0f);
    const auto g = LoadN(in.gate + i, n), u = LoadN(in.up + i, n), dy = LoadN(in.dy + i, n);
    const auto sigmoid = SigmoidOf(g);
    const auto slope = hn::Add(one, hn::Mul(g, hn::Sub(one, sigmoid)));
    StoreN(hn::Mul(hn::Mul(hn::Mul(dy, u), sigmoid), slope), dgate + i, n);
    StoreN(hn::Mul(hn::Mul(dy, g), sigmoid), dup + i, n);
  });
}

void ForwardFloat(int64_t count, const float* gate, const float* up, float* y) {
  Forward<float>(count, gate, up, y);
}
void ForwardBF16(int64_t count, const BF16* gate, const BF16* up, BF16* y) {
  Forward<BF16>(count, gate, up, y);
}
void BackwardFloat(int64_t count, const SwigluIn<float>& in, float* dgate, float* dup) {
  Backward<float>(count, in, dgate, dup);
}
void BackwardBF16(int64_t count, const SwigluIn<BF16>& in, BF16* dgate, BF16* dup) {
  Backward<BF16>(count, in, dgate, dup);
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(ForwardFloat);
HWY_EXPORT(ForwardBF16);
HWY_EXPORT(ForwardRounded);
HWY_EXPORT(BackwardFloat);
HWY_EXPORT(BackwardBF16);

template <>
void SwigluForward<float>(int64_t count, const float* gate, const float* up, float* y) {
  HWY_DYNAMIC_DISPATCH(ForwardFloat)(count, gate, up, y);
}
template <>
void SwigluForward<BF16>(int64_t count, const BF16* gate, const BF16* up, BF16* y) {
  HWY_DYNAMIC_DISPATCH(ForwardBF16)(count, gate, up, y);
}
void SwigluForwardRounded(int64_t count, const float* gate, const float* up, const SwigluRounded& out) {
  HWY_DYNAMIC_DISPATCH(ForwardRounded)(count, gate, up, out);
}
template <>
void SwigluBackward<float>(int64_t count, const SwigluIn<float>& in, float* dgate, float* dup) {
  HWY_DYNAMIC_DISPATCH(BackwardFloat)(count, in, dgate, dup);
}
template <>
void SwigluBackward<BF16>(int64_t count, const SwigluIn<BF16>& in, BF16* dgate, BF16* dup) {
  HWY_DYNAMIC_DISPATCH(BackwardBF16)(count, in, dgate, dup);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
