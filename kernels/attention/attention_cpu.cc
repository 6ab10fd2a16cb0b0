// The SIMD versions. This file is compiled once for every instruction set (foreach_target.h includes it
// again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attention/attention_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>

#include "hwy/contrib/math/math-inl.h"
#include "kernels/attention/attention.h"
#include "kernels/number/vectors_inl.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

// The maximum of `start` and `count` values.
HWY_INLINE float RowMax(const float* values, int64_t count, float start) {
  const Floats d;
  auto maximum = hn::Set(d, start);
  OverVectors(count, [&](int64_t j, int64_t n) HWY_ATTR {
    auto value = LoadN(values + j, n);
    if (n < Lanes()) value = hn::IfThenElse(hn::FirstN(d, static_cast<size_t>(n)), value, maximum);
    maximum = hn::Max(maximum, value);
  });
  return hn::GetLane(hn::MaxOfLanes(d, maximum));
}

template <typename T>
void Softmax(const ScoreTile& tile, const float* s, T* p, OnlineSoftmax& state) {
  const Floats d;
  const auto scale = hn::Set(d, tile.scale);
  const int64_t width = Grouped<T>(tile.keys);
  for (int64_t i = 0; i < tile.rows; ++i) {
    const float* s_row = s + i * kScoreStride;
    T* p_row = p + i * kScoreStride;
    const int64_t last = std::clamp(tile.seen + i + 1, int64_t{0}, tile.keys);
    const int64_t first = std::clamp(tile.seen + i + 1 - tile.window, int64_t{0}, last);
    const int64_t visible = last - first;
    s_row += first;
    if (first > 0) std::memset(static_cast<void*>(p_row), 0, static_cast<size_t>(first) * sizeof(T));
    p_row += first;
    const float m_before = state.m[i], m = RowMax(s_row, visible, m_before);
    const auto shift = hn::Set(d, m);
    auto sum = hn::Zero(d);
    OverVectors(visible, [&](int64_t j, int64_t n) HWY_ATTR {
      auto value = hn::Exp(d, hn::Mul(hn::Sub(LoadN(s_row + j, n), shift), scale));
      if (n < Lanes()) value = hn::IfThenElseZero(hn::FirstN(d, static_cast<size_t>(n)), value);
      sum = hn::Add(sum, value);
      StoreN(value, p_row + j, n);
    });
    std::memset(static_cast<void*>(p_row + visible), 0, static_cast<size_t>(width - last) * sizeof(T));
    const float row_sum = hn::GetLane(hn::SumOfLanes(d, sum));
    // A maximum that stayed would rescale by 1: most tiles but a row's first few.
    if (m > m_before) {
      const float rescale = std::exp((m_before - m) * tile.scale);
      const auto factor = hn::Set(d, rescale);
      float* o_row = state.o + i * state.head_size;
      OverVectors(state.head_size, [&](int64_t c, int64_t n) HWY_ATTR {
        StoreN(hn::Mul(LoadN(o_row + c, n), factor), o_row + c, n);
      });
      state.l[i] *= rescale;
      state.m[i] = m;
    }
    state.l[i] += row_sum;
  }
}

template <typename T>
void Finish(int64_t rows, float scale, const OnlineSoftmax& state, T* o, int64_t stride, float* lse) {
  for (int64_t i = 0; i < rows; ++i) {
    const auto l = hn::Set(Floats(), state.l[i]);
    const float* row = state.o + i * state.head_size;
    OverVectors(state.head_size, [=](int64_t c, int64_t n) HWY_ATTR {
      StoreN(hn::Div(LoadN(row + c, n), l), o + i * stride + c, n);
    });
    lse[i] = state.m[i] * scale + std::log(state.l[i]);
  }
}

template <typename T>
void Dots(const StridedRows<T>& a, const StridedRows<T>& b, float* delta) {
  for (int64_t i = 0; i < a.rows; ++i) {
    const T *x = a.data + i * a.stride, *y = b.data + i * b.stride;
    delta[i] = LaneSum(
        a.columns, [=](int64_t c, int64_t n) HWY_ATTR { return hn::Mul(LoadN(x + c, n), LoadN(y + c, n)); });
  }
}

// Row j of a gradient tile, from query i on: writes p and ds, returns ds.
template <typename T>
HWY_INLINE Vector GradientsOf(const GradientTile& tile, const GradientTileIn<T>& in,
                              const GradientTileOut<T>& out, int64_t j, int64_t i) {
  const Floats d;
  const int64_t at = j * kAttentionTile + i;
  const auto scale = hn::Set(d, tile.scale);
  const auto query = hn::Iota(d, static_cast<float>(i));
  const auto first = hn::Set(d, static_cast<float>(tile.first_key + j - tile.first_query));
  // The last query that sees the key, or lies in the tile.
  const int64_t end = std::min(tile.queries, tile.first_key + j - tile.first_query + tile.window);
  const auto sees = hn::And(hn::Ge(query, first), hn::Lt(query, hn::Set(d, static_cast<float>(end))));
  const auto power = hn::Sub(hn::Mul(Load(in.s + at), scale), Load(in.lse + i));
  const auto p = hn::IfThenElseZero(sees, hn::Exp(d, power));
  auto slope = hn::Mul(hn::Mul(p, scale), hn::Sub(Load(in.dp + at), Load(in.delta + i)));
  if (in.derivative != nullptr) slope = hn::Mul(slope, Load(in.derivative + at));
  const auto ds = hn::IfThenElseZero(sees, slope);
  Store(p, out.p + at);
  Store(ds, out.ds + at);
  return ds;
}

template <typename T>
void Gradients(const GradientTile& tile, const GradientTileIn<T>& in, const GradientTileOut<T>& out) {
  for (int64_t j = 0; j < tile.keys; j += kGroup<T>) {
    for (int64_t i = 0; i < tile.queries; i += Lanes()) {
      const auto ds = GradientsOf(tile, in, out, j, i);
      if constexpr (kGroup<T> == 2) {
        const auto next = j + 1 < tile.keys ? GradientsOf(tile, in, out, j + 1, i) : hn::Zero(Floats());
        const auto pair = RoundedPairs(ds, next);
        hn::StoreU(pair, Words(), reinterpret_cast<uint32_t*>(out.packed_ds + j * kAttentionTile + 2 * i));
      }
    }
  }
}

void Change(const ScoreChange& change, float scale, const ScoreRectangle& rectangle, float* s,
            float* derivative) {
  const Floats d;
  const auto one = hn::Set(d, 1.0f);
  const auto inner = hn::Set(d, change.cap > 0 ? scale / change.cap : 0.0f);
  const auto outer = hn::Set(d, change.cap > 0 ? change.cap / scale : 0.0f);
  const auto slope = hn::Set(d, change.slope / scale);
  for (int64_t i = 0; i < rectangle.rows; ++i) {
    float* row = s + i * rectangle.stride;
    float* row_derivative = derivative == nullptr ? nullptr : derivative + i * rectangle.stride;
    // The key's position less the query's, of column 0 and from column to column.
    const auto start = hn::Set(
        d, static_cast<float>(rectangle.transposed ? i - rectangle.distance : -rectangle.distance - i));
    const auto step = hn::Set(d, rectangle.transposed ? -1.0f : 1.0f);
    OverVectors(rectangle.columns, [&](int64_t j, int64_t n) HWY_ATTR {
      auto value = LoadN(row + j, n);
      auto factor = one;
      if (change.cap > 0) {
        const auto bent = hn::Tanh(d, hn::Mul(value, inner));
        factor = hn::Sub(one, hn::Mul(bent, bent));
        value = hn::Mul(bent, outer);
      }
      const auto position = hn::MulAdd(hn::Iota(d, static_cast<float>(j)), step, start);
      StoreN(hn::Add(value, hn::Mul(slope, position)), row + j, n);
      if (row_derivative != nullptr) StoreN(factor, row_derivative + j, n);
    });
  }
}

#define FT_PER_TYPE(T, Suffix)                                                                     \
  void Softmax##Suffix(const ScoreTile& tile, const float* s, T* p, OnlineSoftmax& state) {        \
    Softmax<T>(tile, s, p, state);                                                                 \
  }                                                                                                \
  void Finish##Suffix(int64_t rows, float scale, const OnlineSoftmax& state, T* o, int64_t stride, \
                      float* lse) {                                                                \
    Finish<T>(rows, scale, state, o, stride, lse);                                                 \
  }                                                                                                \
  void Dots##Suffix(const StridedRows<T>& a, const StridedRows<T>& b, float* delta) {              \
    Dots<T>(a, b, delta);                                                                          \
  }                                                                                                \
  void Gradients##Suffix(const GradientTile& tile, const GradientTileIn<T>& in,                    \
                         const GradientTileOut<T>& out) {                                          \
    Gradients<T>(tile, in, out);                                                                   \
  }
FT_PER_TYPE(float, Float)
FT_PER_TYPE(BF16, BF16)
#undef FT_PER_TYPE

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

void InitOnlineSoftmax(OnlineSoftmax& state) {
  std::fill(std::begin(state.m), std::end(state.m), -std::numeric_limits<float>::infinity());
  std::fill(std::begin(state.l), std::end(state.l), 0.0F);
  std::fill_n(state.o, kAttentionTile * state.head_size, 0.0F);
}

template <typename T>
void Transpose(const StridedRows<T>& in, T* out) {
  const int64_t width = Grouped<T>(in.rows);
  for (int64_t d = 0; d < in.columns; ++d) {
    T* to = out + d * kAttentionTile;
    for (int64_t row = 0; row < in.rows; ++row) to[row] = in.data[row * in.stride + d];
    for (int64_t row = in.rows; row < width; ++row) to[row] = T{};
  }
}

template <typename T>
void StoreTransposed(int64_t rows, int64_t size, const float* in, T* out, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < size; ++d) out[i * stride + d] = FromFloat<T>(in[d * kAttentionTile + i]);
  }
}

HWY_EXPORT(Change);
void ChangeScores(const ScoreChange& change, float scale, const ScoreRectangle& rectangle, float* s,
                  float* derivative) {
  HWY_DYNAMIC_DISPATCH(Change)(change, scale, rectangle, s, derivative);
}

HWY_EXPORT(SoftmaxFloat);
HWY_EXPORT(SoftmaxBF16);
HWY_EXPORT(FinishFloat);
HWY_EXPORT(FinishBF16);
HWY_EXPORT(DotsFloat);
HWY_EXPORT(DotsBF16);
HWY_EXPORT(GradientsFloat);
HWY_EXPORT(GradientsBF16);

#define FT_PER_TYPE(T, Suffix)                                                                             \
  template void Transpose<T>(const StridedRows<T>&, T*);                                                   \
  template void StoreTransposed<T>(int64_t, int64_t, const float*, T*, int64_t);                           \
  template <>                                                                                              \
  void OnlineSoftmaxTile<T>(const ScoreTile& tile, const float* s, T* p, OnlineSoftmax& state) {           \
    HWY_DYNAMIC_DISPATCH(Softmax##Suffix)(tile, s, p, state);                                              \
  }                                                                                                        \
  template <>                                                                                              \
  void FinishOnlineSoftmax<T>(int64_t rows, float scale, const OnlineSoftmax& state, T* o, int64_t stride, \
                              float* lse) {                                                                \
    HWY_DYNAMIC_DISPATCH(Finish##Suffix)(rows, scale, state, o, stride, lse);                              \
  }                                                                                                        \
  template <>                                                                                              \
  void RowDots<T>(const StridedRows<T>& a, const StridedRows<T>& b, float* delta) {                        \
    HWY_DYNAMIC_DISPATCH(Dots##Suffix)(a, b, delta);                                                       \
  }                                                                                                        \
  template <>                                                                                              \
  void ScoreGradients<T>(const GradientTile& tile, const GradientTileIn<T>& in,                            \
                         const GradientTileOut<T>& out) {                                                  \
    HWY_DYNAMIC_DISPATCH(Gradients##Suffix)(tile, in, out);                                                \
  }
FT_PER_TYPE(float, Float)
FT_PER_TYPE(BF16, BF16)
#undef FT_PER_TYPE

}  // namespace ft::kernels
#endif  // HWY_ONCE
