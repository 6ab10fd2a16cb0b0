// The SIMD version. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cross_entropy/cross_entropy_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <cmath>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "kernels/cross_entropy/cross_entropy.h"
#include "kernels/number/vectors_inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

constexpr int64_t kRun = 1024;

// The row's maximum; NaN when a value is infinite or NaN, so that a broken row shows in its loss.
template <typename T>
float RowMax(const T* row, int64_t count) {
  const Floats d;
  auto maximum = hn::Set(d, ToFloat(row[0]));
  auto poison = hn::Zero(d);
  OverVectors(count, [&](int64_t i, int64_t n) HWY_ATTR {
    auto value = LoadN(row + i, n);
    poison = hn::Add(poison, hn::Mul(value, hn::Zero(d)));
    if (n < Lanes()) value = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(n)), value, maximum);
    maximum = hn::Max(maximum, value);
  });
  return hn::GetLane(hn::MaxOfLanes(d, maximum)) + hn::GetLane(hn::SumOfLanes(d, poison));
}

template <typename T>
double SumOfExponentials(const T* row, int64_t count, float maximum) {
  const Floats d;
  const auto shift = hn::Set(d, maximum);
  double sum = 0;
  for (int64_t start = 0; start < count; start += kRun) {
    const T* run = row + start;
    const float part = LaneSum(std::min(kRun, count - start), [=](int64_t i, int64_t n) HWY_ATTR {
      const auto value = hn::Exp(Floats(), hn::Sub(LoadN(run + i, n), shift));
      return n >= Lanes() ? value : hn::IfThenElseZero(hn::FirstN(Floats(), static_cast<size_t>(n)), value);
    });
    sum += static_cast<double>(part);
  }
  return sum;
}

template <typename T>
void Rows(const CrossEntropyShape& shape, int64_t first, int64_t last, const int64_t* targets, T* logits,
          double* loss) {
  const Floats d;
  for (int64_t r = first; r < last; ++r) {
    T* row = logits + r * shape.vocabulary;
    const float maximum = RowMax(row, shape.vocabulary);
    const double sum = SumOfExponentials(row, shape.vocabulary, maximum);
    const float target = ToFloat(row[targets[r]]);
    loss[r] = std::log(sum) + static_cast<double>(maximum) - static_cast<double>(target);
    if (!(maximum - maximum == 0)) loss[r] = std::numeric_limits<double>::quiet_NaN();
    if (!shape.gradient) continue;
    const auto shift = hn::Set(d, maximum);
    const auto factor = hn::Set(d, static_cast<float>(static_cast<double>(shape.gradient_scale) / sum));
    OverVectors(shape.vocabulary, [=](int64_t i, int64_t n) HWY_ATTR {
      const auto exponential = hn::Exp(Floats(), hn::Sub(LoadN(row + i, n), shift));
      StoreN(hn::Mul(exponential, factor), row + i, n);
    });
    const double probability = std::exp(static_cast<double>(target) - static_cast<double>(maximum)) / sum;
    row[targets[r]] = FromFloat<T>(static_cast<float>((probability - 1) * shape.gradient_scale));
  }
}

void RowsFloat(const CrossEntropyShape& shape, int64_t first, int64_t last, const int64_t* targets,
               float* logits, double* loss) {
  Rows<float>(shape, first, last, targets, logits, loss);
}
void RowsBF16(const CrossEntropyShape& shape, int64_t first, int64_t last, const int64_t* targets,
              BF16* logits, double* loss) {
  Rows<BF16>(shape, first, last, targets, logits, loss);
}

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(RowsFloat);
HWY_EXPORT(RowsBF16);

template <>
void CrossEntropyRows<float>(const CrossEntropyShape& shape, int64_t first, int64_t last,
                             const int64_t* targets, float* logits, double* loss) {
  HWY_DYNAMIC_DISPATCH(RowsFloat)(shape, first, last, targets, logits, loss);
}
template <>
void CrossEntropyRows<BF16>(const CrossEntropyShape& shape, int64_t first, int64_t last,
                            const int64_t* targets, BF16* logits, double* loss) {
  HWY_DYNAMIC_DISPATCH(RowsBF16)(shape, first, last, targets, logits, loss);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
