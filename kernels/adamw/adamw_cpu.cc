#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw/adamw_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <cmath>
#include <type_traits>

#include "hwy/highway.h"
#include "kernels/adamw/adamw.h"
#include "kernels/number/prefetch.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// As many as LibTorch takes at a time, on CPUs with wider vectors too.
using Eight = hn::CappedTag<float, 8>;
using One = hn::CappedTag<float, 1>;
constexpr int64_t kEight = 8;
// Weights of an array before the next array's turn: four cache lines.
constexpr int64_t kLinesAtOnce = 64;

// Numbers of a step, computed in double and rounded once.
struct Factors {
  explicit Factors(const AdamWStep& step) {
    const double t = static_cast<float>(step.steps);  // LibTorch keeps it in a float32.
    rest1 = static_cast<float>(1 - step.beta1);
    beta2 = static_cast<float>(step.beta2);
    rest2 = static_cast<float>(1 - step.beta2);
    rate = -static_cast<float>(step.lr / (1 - std::pow(step.beta1, t)));
    root = static_cast<float>(std::sqrt(1 - std::pow(step.beta2, t)));
    eps = static_cast<float>(step.eps);
    decay = static_cast<float>(HWY_NATIVE_FMA ? std::fma(-step.lr, step.weight_decay, 1.0)
                                              : 1 - step.lr * step.weight_decay);
    follows = rest1 >= 0.5f;
  }
  float rest1, beta2, rest2, rate, root, eps, decay;
  bool follows;  // The gradient rather than the first moment before it.
};

template <typename D>
HWY_INLINE hn::Vec<D> FirstMoment(D d, const Factors& f, hn::Vec<D> gradient, hn::Vec<D> first) {
  const auto away = hn::Sub(gradient, first);
  if (f.follows) return hn::MulAdd(hn::Set(d, f.rest1 - 1), away, gradient);
  return hn::MulAdd(hn::Set(d, f.rest1), away, first);
}

template <typename D>
HWY_INLINE hn::Vec<D> SecondMoment(D d, const Factors& f, hn::Vec<D> gradient, hn::Vec<D> second) {
  const auto part = hn::Mul(hn::Set(d, f.rest2), gradient);
  const auto beta2 = hn::Set(d, f.beta2);
  if constexpr (std::is_same_v<D, One>) return hn::MulAdd(beta2, second, hn::Mul(part, gradient));
  return hn::MulAdd(part, gradient, hn::Mul(second, beta2));
}

template <typename D>
HWY_INLINE hn::Vec<D> Value(D d, const Factors& f, hn::Vec<D> first, hn::Vec<D> second, hn::Vec<D> value) {
  const auto root = hn::Add(hn::Div(hn::Sqrt(second), hn::Set(d, f.root)), hn::Set(d, f.eps));
  const auto change = hn::Div(hn::Mul(first, hn::Set(d, f.rate)), root);
  return hn::Add(hn::Mul(value, hn::Set(d, f.decay)), change);
}

// Whole turns of kTurn weights from `begin` on, each all of one array, then all of the next. Returns where they end.
template <int64_t kTurn, typename D>
HWY_INLINE int64_t UpdateTurns(D d, const Factors& f, const AdamWArrays& arrays, int64_t begin, int64_t end) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (; begin + kTurn <= end; begin += kTurn) {
    float* HWY_RESTRICT values = arrays.values + begin;
    const float* HWY_RESTRICT gradients = arrays.gradients + begin;
    float* HWY_RESTRICT first = arrays.first + begin;
    float* HWY_RESTRICT second = arrays.second + begin;
    // At each page of each array a core's own look ahead begins anew.
    for (const float* array : {static_cast<const float*>(values), gradients, static_cast<const float*>(first),
                               static_cast<const float*>(second)})
      PrefetchAhead(array, kTurn * int64_t{sizeof(float)});
    for (int64_t i = 0; i < kTurn; i += lanes) {
      hn::StoreU(FirstMoment(d, f, hn::LoadU(d, gradients + i), hn::LoadU(d, first + i)), d, first + i);
    }
    for (int64_t i = 0; i < kTurn; i += lanes) {
      hn::StoreU(SecondMoment(d, f, hn::LoadU(d, gradients + i), hn::LoadU(d, second + i)), d, second + i);
    }
    for (int64_t i = 0; i < kTurn; i += lanes) {
      const auto m = hn::LoadU(d, first + i), v = hn::LoadU(d, second + i);
      hn::StoreU(Value(d, f, m, v, hn::LoadU(d, values + i)), d, values + i);
    }
  }
  return begin;
}

void Update(const AdamWStep& step, const AdamWArrays& arrays, int64_t begin, int64_t end) {
  const Factors factors(step);
  begin = UpdateTurns<kLinesAtOnce>(Eight(), factors, arrays, begin, end);
  begin = UpdateTurns<kEight>(Eight(), factors, arrays, begin, end);
  UpdateTurns<1>(One(), factors, arrays, begin, end);
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(Update);

void AdamW(const AdamWStep& step, const AdamWArrays& arrays, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(Update)(step, arrays, begin, end);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
