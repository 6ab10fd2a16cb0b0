// The definition against a softmax over whole rows in float64, and the parts, alone and put together, against
// the definition.
#include "kernels/attention/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "kernels/attention/attention_scalar.h"

namespace ft::kernels {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
// Half the distance of neighbours in T, relative.
template <typename T>
constexpr double kRounding = sizeof(T) == 2 ? 0x1p-9 : 0x1p-24;

struct Length {
  int64_t queries, keys;
};
struct Case {
  int64_t heads, key_heads, D;
  std::vector<Length> segments;
  int64_t window = kNoWindow;
  float cap = 0;
  bool slopes = false;
};
const Case kCases[] = {{1, 1, 2, {{1, 1}}},
                       {4, 2, 6, {{5, 5}, {1, 1}, {9, 9}}},
                       {6, 1, 10, {{3, 3}, {130, 130}}},
                       {2, 2, 5, {{65, 65}, {64, 64}, {63, 63}}},
                       {3, 1, 17, {{1, 70}, {20, 33}}},
                       {2, 1, 4, {{7, 516}}},  // The first row sees no key of the second tile of keys.
                       {2, 1, 6, {{1101, 1101}}},
                       // Windows within a tile, over its edge, and over several tiles of scores.
                       {2, 1, 4, {{9, 9}, {70, 70}, {1, 40}}, 3},
                       {2, 2, 4, {{200, 200}, {3, 130}}, 64},
                       {2, 1, 4, {{1300, 1300}}, 700},
                       {3, 1, 6, {{70, 70}, {2, 9}}, kNoWindow, 1.5f},
                       {5, 5, 6, {{70, 70}, {2, 9}}, kNoWindow, 0, true},
                       {5, 5, 6, {{600, 600}}, 100, 0.7f, true}};

template <typename T>
struct Problem {
  AttentionScalar<T> attention;
  std::vector<T> Q, K, V, dO;
};

template <typename T>
struct Result {
  std::vector<T> O, dQ, dK, dV;
  std::vector<float> L;

  explicit Result(const Problem<T>& p)
      : O(p.Q.size()), dQ(p.Q.size()), dK(p.K.size()), dV(p.K.size()), L(p.Q.size() / p.attention.D) {}
};

template <typename T>
std::vector<T> Normal(int64_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<T> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(FromFloat<T>(normal(random)));
  return values;
}

template <typename T>
Problem<T> RandomProblem(const Case& c) {
  Problem<T> p{.attention = {.scale = 0.7f,
                             .heads = c.heads,
                             .key_heads = c.key_heads,
                             .D = c.D,
                             .window = c.window,
                             .cap = c.cap}};
  AttentionScalar<T>& a = p.attention;
  for (int64_t h = 0; c.slopes && h < c.heads; ++h) a.slopes.push_back(0.5f / static_cast<float>(h + 1));
  for (const Length& length : c.segments) {
    a.segments.push_back({a.rows, length.queries, a.key_rows, length.keys});
    a.rows += length.queries;
    a.key_rows += length.keys;
  }
  std::mt19937 random(static_cast<uint32_t>(a.rows));
  p.Q = Normal<T>(a.rows * c.heads * c.D, random);
  p.K = Normal<T>(a.key_rows * c.key_heads * c.D, random);
  p.V = Normal<T>(a.key_rows * c.key_heads * c.D, random);
  p.dO = Normal<T>(a.rows * c.heads * c.D, random);
  a.Q = p.Q.data();
  a.K = p.K.data();
  a.V = p.V.data();
  return p;
}

template <typename T>
Result<T> Define(const Problem<T>& p) {
  Result<T> r(p);
  p.attention.Forward(r.O.data(), r.L.data());
  p.attention.Backward({r.O.data(), r.L.data(), p.dO.data(), r.dQ.data(), r.dK.data(), r.dV.data()});
  return r;
}

// Softmax over whole rows and its gradients, in float64: p = softmax(scale * s), ds = p * (dp - sum(p * dp)).
struct Plain {
  std::vector<double> O, dQ, dK, dV, L;
};

template <typename T>
Plain PlainAttention(const Problem<T>& p) {
  const AttentionScalar<T>& a = p.attention;
  const auto at = [](const std::vector<T>& values, int64_t i) {
    return static_cast<double>(ToFloat(values[i]));
  };
  Plain r;
  r.O.resize(p.Q.size());
  r.dQ.resize(p.Q.size());
  r.dK.resize(p.K.size());
  r.dV.resize(p.K.size());
  r.L.resize(a.rows * a.heads);
  for (const AttentionSegment& s : a.segments) {
    for (int64_t row = 0; row < s.queries * a.heads; ++row) {
      const int64_t i = row / a.heads, h = row % a.heads, seen = s.keys - s.queries + i + 1;
      const int64_t q = ((s.first_query + i) * a.heads + h) * a.D;
      const auto k = [&](int64_t j) {
        return ((s.first_key + j) * a.key_heads + h / (a.heads / a.key_heads)) * a.D;
      };
      const int64_t first = std::max<int64_t>(0, seen - a.window);
      std::vector<double> P(seen), dP(seen), slope(seen, 1);
      double sum = 0, mean = 0;
      for (int64_t j = first; j < seen; ++j) {
        for (int64_t d = 0; d < a.D; ++d) {
          P[j] += at(p.Q, q + d) * at(p.K, k(j) + d);
          dP[j] += at(p.dO, q + d) * at(p.V, k(j) + d);
        }
        double score = static_cast<double>(a.scale) * P[j];
        if (a.cap > 0) {
          const double bent = std::tanh(score / static_cast<double>(a.cap));
          score = static_cast<double>(a.cap) * bent;
          slope[j] = 1 - bent * bent;
        }
        if (!a.slopes.empty()) score -= static_cast<double>(a.slopes[h]) * static_cast<double>(seen - 1 - j);
        P[j] = std::exp(score);
        sum += P[j];
      }
      r.L[h * a.rows + s.first_query + i] = std::log(sum);
      for (int64_t j = first; j < seen; ++j) mean += (P[j] /= sum) * dP[j];
      for (int64_t j = first; j < seen; ++j) {
        const double dS = static_cast<double>(a.scale) * P[j] * (dP[j] - mean) * slope[j];
        for (int64_t d = 0; d < a.D; ++d) {
          r.O[q + d] += P[j] * at(p.V, k(j) + d);
          r.dQ[q + d] += dS * at(p.K, k(j) + d);
          r.dK[k(j) + d] += dS * at(p.Q, q + d);
          r.dV[k(j) + d] += P[j] * at(p.dO, q + d);
        }
      }
    }
  }
  return r;
}

double Wide(double value) { return value; }
double Wide(BF16 value) { return static_cast<double>(ToFloat(value)); }

// Within `tolerance` of the largest value that is expected.
template <typename A, typename B>
void ExpectClose(const char* what, const std::vector<A>& actual, const std::vector<B>& expected,
                 double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  double largest = 0, worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::fabs(Wide(expected[i])));
    const double error = std::fabs(Wide(actual[i]) - Wide(expected[i]));
    worst = error <= worst ? worst : error;  // Keeps NaN.
  }
  EXPECT_LE(worst, tolerance * largest) << what;
}

template <typename A, typename B>
void ExpectAllClose(const A& actual, const B& expected, double tolerance) {
  ExpectClose("O", actual.O, expected.O, tolerance);
  ExpectClose("dQ", actual.dQ, expected.dQ, tolerance);
  ExpectClose("dK", actual.dK, expected.dK, tolerance);
  ExpectClose("dV", actual.dV, expected.dV, tolerance);
  // L is never rounded to T.
  ExpectClose("L", actual.L, expected.L, 2e-6);
}

TEST(AttentionScalar, EqualsSoftmaxOverWholeRows) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(::testing::Message()
                 << c.heads << " heads of " << c.D << ", " << c.segments.size() << " segments");
    const Problem<float> p = RandomProblem<float>(c);
    ExpectAllClose(Define(p), PlainAttention(p), 5e-6);
    // Four roundings stand behind a gradient: those of P, of dS, of O in delta, and its own.
    const Problem<BF16> narrow = RandomProblem<BF16>(c);
    ExpectAllClose(Define(narrow), PlainAttention(narrow), 4 * kRounding<BF16>);
  }
}

TEST(AttentionScalar, TheSizeOfATileIsOnlyAnOrderOfSums) {
  Problem<float> p = RandomProblem<float>({2, 1, 6, {{9, 9}, {3, 40}}});
  const Result<float> whole = Define(p);
  for (const int64_t tile : {1, 2, 7, 16}) {
    p.attention.tile = tile;
    ExpectAllClose(Define(p), whole, 2e-6);
  }
}

TEST(AttentionScalar, GradientsAreTheSlopesOfTheLoss) {
  Problem<float> p = RandomProblem<float>({2, 1, 3, {{4, 4}, {2, 5}}});
  const auto loss = [&] {
    const std::vector<double> O = PlainAttention(p).O;
    double sum = 0;
    for (size_t i = 0; i < O.size(); ++i) sum += O[i] * static_cast<double>(p.dO[i]);
    return sum;
  };
  const Result<float> defined = Define(p);
  const auto expect_slopes = [&](std::vector<float>& values, const std::vector<float>& gradients) {
    for (size_t i = 0; i < values.size(); ++i) {
      const float before = values[i], above = before + 0x1p-10f, below = before - 0x1p-10f;
      values[i] = above;
      const double loss_above = loss();
      values[i] = below;
      const double slope = (loss_above - loss()) / (static_cast<double>(above) - static_cast<double>(below));
      values[i] = before;
      EXPECT_NEAR(gradients[i], slope, 2e-5) << i;
    }
  };
  expect_slopes(p.Q, defined.dQ);
  expect_slopes(p.K, defined.dK);
  expect_slopes(p.V, defined.dV);
}

// One row of a tile against its definition: what the row does not see is NaN.
template <typename T>
void ExpectOnlineSoftmaxOf(const ScoreTile& tile) {
  constexpr int64_t kD = 5;
  std::mt19937 random(static_cast<uint32_t>(tile.keys));
  std::vector<float> o(kAttentionTile * kD, -7);
  OnlineSoftmax state{.o = o.data(), .head_size = kD};
  InitOnlineSoftmax(state);
  EXPECT_EQ(o, std::vector<float>(o.size(), 0));
  std::vector<OnlineSoftmaxRow> rows(tile.rows);
  // A first tile, which all rows see and whose maximum the second raises in some of them.
  for (const ScoreTile& each : {ScoreTile{tile.rows, 3, 3, tile.scale}, tile}) {
    std::vector<float> s(kAttentionTile * kScoreStride, kNaN), values = Normal<float>(tile.rows * kD, random);
    std::vector<T> p(s.size(), FromFloat<T>(-7)), expected_p(kScoreTile);
    std::copy(values.begin(), values.end(), o.begin());
    const auto visible = [&](int64_t i) { return std::clamp(each.seen + i + 1, int64_t{0}, each.keys); };
    for (int64_t i = 0; i < each.rows; ++i) {
      const std::vector<float> row = Normal<float>(visible(i), random);
      std::copy(row.begin(), row.end(), s.begin() + i * kScoreStride);
    }
    OnlineSoftmaxTile<T>(each, s.data(), p.data(), state);
    for (int64_t i = 0; i < each.rows; ++i) {
      OnlineSoftmaxRow& row = rows[i];
      row.O.assign(values.begin() + i * kD, values.begin() + (i + 1) * kD);
      const auto seen = static_cast<size_t>(visible(i));
      OnlineSoftmaxScalar<T>(each.scale, {s.data() + i * kScoreStride, seen}, row, expected_p.data());
      // The maximum and the factor of O are the same numbers; Highway's exponential and the order of l's sum
      // are not.
      ASSERT_EQ(state.m[i], row.m);
      for (int64_t d = 0; d < kD; ++d) ASSERT_EQ(o[i * kD + d], row.O[d]);
      // 512 terms added one after the other lose a few units in the last place more than sixteen sums of them.
      ASSERT_NEAR(state.l[i], row.l, 5e-6 * row.l);
      for (int64_t j = 0; j < kScoreStride; ++j) {
        const float actual = ToFloat(p[i * kScoreStride + j]);
        if (j < visible(i)) {
          // A few units in float32's last place; in bfloat16's one, where the rounding falls the other way.
          const float expected = ToFloat(expected_p[j]);
          ASSERT_NEAR(actual, expected, (5e-7 + 2 * kRounding<T>)*static_cast<double>(expected))
              << i << ", " << j;
        } else {
          ASSERT_EQ(actual, j < Grouped<T>(each.keys) ? 0 : -7) << i << ", " << j;
        }
      }
    }
  }
}

TEST(Attention, OnlineSoftmaxEqualsTheDefinitionOverOddTilesAndMasks) {
  for (const int64_t rows : {int64_t{1}, int64_t{3}, kAttentionTile}) {
    for (const int64_t keys : {int64_t{1}, int64_t{15}, int64_t{16}, int64_t{17}, int64_t{63}, kScoreTile}) {
      // No row sees a key, the last does, the diagonal, all rows see all.
      for (const int64_t seen : {-rows, 1 - rows, int64_t{0}, keys}) {
        SCOPED_TRACE(::testing::Message() << rows << " x " << keys << " from " << seen);
        ExpectOnlineSoftmaxOf<float>({rows, keys, seen, 0.3f});
        ExpectOnlineSoftmaxOf<BF16>({rows, keys, seen, 0.3f});
      }
    }
  }
}

template <typename T>
void ExpectFinished() {
  constexpr int64_t kRows = 5, kD = 19, kStride = 23;
  std::mt19937 random(1);
  std::vector<float> o = Normal<float>(kRows * kD, random), lse(kRows + 1, -7);
  OnlineSoftmax state{.o = o.data(), .head_size = kD};
  for (int64_t i = 0; i < kRows; ++i) {
    state.m[i] = static_cast<float>(i - 2);
    state.l[i] = 1 + 0.37f * static_cast<float>(i);
  }
  std::vector<T> out(kRows * kStride, FromFloat<T>(-7));
  FinishOnlineSoftmax<T>(kRows, 0.3f, state, out.data(), kStride, lse.data());
  for (int64_t i = 0; i < kRows * kStride; ++i) {
    const int64_t row = i / kStride, d = i % kStride;
    ASSERT_EQ(ToFloat(out[i]), d < kD ? ToFloat(FromFloat<T>(o[row * kD + d] / state.l[row])) : -7) << i;
  }
  for (int64_t i = 0; i < kRows; ++i) EXPECT_FLOAT_EQ(lse[i], state.m[i] * 0.3f + std::log(state.l[i]));
  EXPECT_EQ(lse[kRows], -7);
}

TEST(Attention, OutputsAreTheQuotientsRoundedOnce) {
  ExpectFinished<float>();
  ExpectFinished<BF16>();
}

template <typename T>
void ExpectRowDots(int64_t columns) {
  const int64_t rows = 3, stride = columns + 2;
  std::mt19937 random(static_cast<uint32_t>(columns));
  const std::vector<T> a = Normal<T>(rows * stride, random), b = Normal<T>(rows * stride, random);
  std::vector<float> delta(rows);
  RowDots<T>({a.data(), rows, columns, stride}, {b.data(), rows, columns, stride}, delta.data());
  for (int64_t i = 0; i < rows; ++i) {
    double sum = 0, size = 0;
    for (int64_t d = 0; d < columns; ++d) {
      const double product = Wide(a[i * stride + d]) * Wide(b[i * stride + d]);
      sum += product;
      size += std::fabs(product);
    }
    EXPECT_NEAR(delta[i], sum, 5e-7 * size) << columns;
  }
}

TEST(Attention, RowDotsAreSumsOfProducts) {
  for (const int64_t columns : {1, 15, 16, 17, 64, 131}) {
    ExpectRowDots<float>(columns);
    ExpectRowDots<BF16>(columns);
  }
}

template <typename T>
void ExpectScoreGradients(const GradientTile& tile) {
  std::mt19937 random(static_cast<uint32_t>(tile.keys * 100 + tile.queries));
  constexpr int64_t kSize = kAttentionTile * kAttentionTile;
  std::vector<float> s = Normal<float>(kSize, random), dp = Normal<float>(kSize, random),
                     delta = Normal<float>(kAttentionTile, random), lse(kAttentionTile);
  for (float& value : lse) value = 1 + 0.01f * static_cast<float>(random() % 100);
  const auto sees = [&](int64_t j, int64_t i) {
    return i < tile.queries && tile.first_key + j <= tile.first_query + i;
  };
  for (int64_t at = 0; at < kSize; ++at) {
    if (!sees(at / kAttentionTile, at % kAttentionTile)) s[at] = dp[at] = kNaN;
  }
  std::vector<T> p(kSize), ds(kSize), packed(kSize);
  ScoreGradients<T>(tile, {s.data(), dp.data(), lse.data(), delta.data()},
                    {p.data(), ds.data(), kGroup<T> == 1 ? nullptr : packed.data()});
  const double tolerance = 1e-6 + 2 * kRounding<T>;
  for (int64_t j = 0; j < tile.keys; ++j) {
    for (int64_t i = 0; i < Grouped<T>(tile.queries); ++i) {
      const int64_t at = j * kAttentionTile + i;
      if (!sees(j, i)) {
        ASSERT_EQ(ToFloat(p[at]), 0) << j << ", " << i;
        ASSERT_EQ(ToFloat(ds[at]), 0) << j << ", " << i;
        continue;
      }
      const ScoreGradient expected = ScoreGradientScalar(tile.scale, s[at], lse[i], dp[at], delta[i]);
      ASSERT_NEAR(ToFloat(p[at]), expected.P, tolerance * static_cast<double>(expected.P)) << j << ", " << i;
      ASSERT_NEAR(ToFloat(ds[at]), expected.dS, tolerance * std::fabs(static_cast<double>(expected.dS)))
          << j << ", " << i;
    }
  }
  if (kGroup<T> == 1) return;
  for (int64_t j = 0; j < Grouped<T>(tile.keys); ++j) {
    for (int64_t i = 0; i < tile.queries; ++i) {
      const float packed_ds =
          ToFloat(packed[j / kGroup<T> * kGroup<T> * kAttentionTile + i * kGroup<T> + j % kGroup<T>]);
      ASSERT_EQ(packed_ds, j < tile.keys ? ToFloat(ds[j * kAttentionTile + i]) : 0) << j << ", " << i;
    }
  }
}

TEST(Attention, ScoreGradientsEqualTheDefinitionOverOddTilesAndMasks) {
  for (const int64_t keys : {1, 2, 3, 17, 64}) {
    for (const int64_t queries : {1, 15, 16, 17, 63, 64}) {
      // The diagonal, all seen, a part, nothing seen.
      for (const int64_t first_query :
           {int64_t{64}, int64_t{64} + keys, int64_t{61}, int64_t{64} - queries}) {
        SCOPED_TRACE(::testing::Message() << keys << " x " << queries << " from " << first_query);
        const GradientTile tile{keys, queries, 64, first_query, 0.3f};
        ExpectScoreGradients<float>(tile);
        ExpectScoreGradients<BF16>(tile);
      }
    }
  }
}

template <typename T>
void ExpectTransposed(int64_t rows, int64_t size) {
  std::mt19937 random(static_cast<uint32_t>(rows));
  const int64_t stride = size + 3;
  const std::vector<T> in = Normal<T>(rows * stride, random);
  std::vector<T> out(size * kAttentionTile, FromFloat<T>(-7));
  Transpose<T>({in.data(), rows, size, stride}, out.data());
  for (int64_t d = 0; d < size; ++d) {
    for (int64_t i = 0; i < Grouped<T>(rows); ++i) {
      ASSERT_EQ(ToFloat(out[d * kAttentionTile + i]), i < rows ? ToFloat(in[i * stride + d]) : 0);
    }
  }
  const std::vector<float> sums = Normal<float>(size * kAttentionTile, random);
  std::vector<T> stored(rows * stride, FromFloat<T>(-7));
  StoreTransposed<T>(rows, size, sums.data(), stored.data(), stride);
  for (int64_t i = 0; i < rows * stride; ++i) {
    const int64_t row = i / stride, d = i % stride;
    ASSERT_EQ(ToFloat(stored[i]), d < size ? ToFloat(FromFloat<T>(sums[d * kAttentionTile + row])) : -7);
  }
}

TEST(Attention, TransposesEverySize) {
  for (const int64_t rows : {1, 2, 33, 64}) {
    for (const int64_t size : {1, 6, 17}) {
      ExpectTransposed<float>(rows, size);
      ExpectTransposed<BF16>(rows, size);
    }
  }
}

// The parts put together, tile by tile as worker/model/ops/attention.cc does it, around plain products.
template <typename T>
class Tiled {
 public:
  explicit Tiled(const Problem<T>& problem) : p_(problem), a_(problem.attention), result_(problem) {}

  Result<T> Run() {
    std::vector<float> dK(p_.K.size()), dV(p_.K.size());
    for (const AttentionSegment& s : a_.segments) {
      for (int64_t h = 0; h < a_.heads; ++h) {
        for (int64_t first = 0; first < s.queries; first += kAttentionTile) {
          Forward(s, h, first);
          Backward(s, h, first, dK, dV);
        }
      }
    }
    for (size_t i = 0; i < dK.size(); ++i) {
      result_.dK[i] = FromFloat<T>(dK[i]);
      result_.dV[i] = FromFloat<T>(dV[i]);
    }
    return result_;
  }

 private:
  int64_t QueryAt(const AttentionSegment& s, int64_t h, int64_t i) const {
    return ((s.first_query + i) * a_.heads + h) * a_.D;
  }
  int64_t KeyAt(const AttentionSegment& s, int64_t h, int64_t j) const {
    return ((s.first_key + j) * a_.key_heads + h * a_.key_heads / a_.heads) * a_.D;
  }
  ScoreChange ChangeOf(int64_t h) const { return {a_.cap, a_.slopes.empty() ? 0 : a_.slopes[h]}; }
  int64_t FirstKey(int64_t seen) const {
    return std::max<int64_t>(0, seen + 1 - a_.window) / kAttentionTile * kAttentionTile;
  }
  float Dot(const T* a, const T* b) const {
    float sum = 0;
    for (int64_t d = 0; d < a_.D; ++d) sum += ToFloat(a[d]) * ToFloat(b[d]);
    return sum;
  }

  void Forward(const AttentionSegment& s, int64_t h, int64_t first) {
    const int64_t rows = std::min(kAttentionTile, s.queries - first), seen = s.keys - s.queries + first;
    std::vector<float> scores(kAttentionTile * kScoreStride), o(kAttentionTile * a_.D);
    std::vector<T> p(scores.size());
    OnlineSoftmax state{.o = o.data(), .head_size = a_.D};
    InitOnlineSoftmax(state);
    for (int64_t key = FirstKey(seen); key < seen + rows; key += kScoreTile) {
      const int64_t keys = std::min(kScoreTile, seen + rows - key);
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < keys; ++j) {
          scores[i * kScoreStride + j] = Dot(&p_.Q[QueryAt(s, h, first + i)], &p_.K[KeyAt(s, h, key + j)]);
        }
      }
      ChangeScores(ChangeOf(h), a_.scale, {rows, keys, kScoreStride, seen - key}, scores.data(), nullptr);
      OnlineSoftmaxTile<T>({rows, keys, seen - key, a_.scale, a_.window}, scores.data(), p.data(), state);
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < keys; ++j) {
          const T* v = &p_.V[KeyAt(s, h, key + j)];
          for (int64_t d = 0; d < a_.D; ++d)
            o[i * a_.D + d] += ToFloat(p[i * kScoreStride + j]) * ToFloat(v[d]);
        }
      }
    }
    FinishOnlineSoftmax<T>(rows, a_.scale, state, &result_.O[QueryAt(s, h, first)], a_.heads * a_.D,
                           &result_.L[h * a_.rows + s.first_query + first]);
  }

  void Backward(const AttentionSegment& s, int64_t h, int64_t first, std::vector<float>& dK,
                std::vector<float>& dV) {
    const int64_t queries = std::min(kAttentionTile, s.queries - first), seen = s.keys - s.queries + first;
    std::vector<float> dq(a_.D * kAttentionTile), lse(kAttentionTile), delta(kAttentionTile);
    const int64_t at = QueryAt(s, h, first), stride = a_.heads * a_.D;
    RowDots<T>({&result_.O[at], queries, a_.D, stride}, {&p_.dO[at], queries, a_.D, stride}, delta.data());
    std::copy_n(&result_.L[h * a_.rows + s.first_query + first], queries, lse.begin());
    for (int64_t key = FirstKey(seen); key < seen + queries; key += kAttentionTile) {
      const GradientTile tile{
          std::min(kAttentionTile, seen + queries - key), queries, key, seen, a_.scale, a_.window};
      std::vector<float> scores(kAttentionTile * kAttentionTile), dp(scores.size()), slope(scores.size());
      std::vector<T> p(scores.size()), ds(scores.size()), packed(scores.size());
      const auto for_each = [&](auto body) {
        for (int64_t j = 0; j < tile.keys; ++j) {
          for (int64_t i = 0; i < queries; ++i)
            body(j * kAttentionTile + i, KeyAt(s, h, key + j), at + i * stride);
        }
      };
      for_each([&](int64_t element, int64_t k, int64_t q) {
        scores[element] = Dot(&p_.Q[q], &p_.K[k]);
        dp[element] = Dot(&p_.dO[q], &p_.V[k]);
      });
      ChangeScores(ChangeOf(h), a_.scale, {tile.keys, queries, kAttentionTile, seen - key, true},
                   scores.data(), slope.data());
      ScoreGradients<T>(tile, {scores.data(), dp.data(), lse.data(), delta.data(), slope.data()},
                        {p.data(), ds.data(), packed.data()});
      for_each([&](int64_t element, int64_t k, int64_t q) {
        for (int64_t d = 0; d < a_.D; ++d) {
          dV[k + d] += ToFloat(p[element]) * ToFloat(p_.dO[q + d]);
          dK[k + d] += ToFloat(ds[element]) * ToFloat(p_.Q[q + d]);
          dq[d * kAttentionTile + element % kAttentionTile] += ToFloat(ds[element]) * ToFloat(p_.K[k + d]);
        }
      });
    }
    StoreTransposed<T>(queries, a_.D, dq.data(), &result_.dQ[at], stride);
  }

  const Problem<T>& p_;
  const AttentionScalar<T>& a_;
  Result<T> result_;
};

TEST(Attention, PartsPutTogetherEqualTheDefinitionOverSegmentsAndGroups) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(::testing::Message()
                 << c.heads << " heads of " << c.D << ", " << c.segments.size() << " segments");
    const Problem<float> p = RandomProblem<float>(c);
    ExpectAllClose(Tiled<float>(p).Run(), Define(p), 5e-6);
    // A rounding that falls the other way is one unit in the last place of a result.
    const Problem<BF16> narrow = RandomProblem<BF16>(c);
    ExpectAllClose(Tiled<BF16>(narrow).Run(), Define(narrow), 2 * kRounding<BF16>);
  }
}

}  // namespace
}  // namespace ft::kernels
