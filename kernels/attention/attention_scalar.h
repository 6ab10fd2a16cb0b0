// Causal attention, scalar: the definition, in the words of FlashAttention-2 (Dao, arXiv 2307.08691). Forward
// is the paper's algorithm 1 and Backward its algorithm 2, with one row of Q as the block of queries. Tests
// hold the parts of attention.h to it; no job runs it.
//
// What the paper does not say: a row of Q sees the keys of its segment up to its own, the last `window` of them; S is
// changed as ScoreChange says, each head with a slope of its own; query head h reads key
// head h * key_heads / heads; S is scaled inside the exponential, so m is a maximum of unscaled scores; sums
// are float32, and what enters a product (P and dS beside Q, K, V and dO) is of type T, as are the results,
// each rounded once.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kernels/attention/attention.h"
#include "kernels/number/bf16.h"

namespace ft::kernels {

// One row of Q while it goes over the tiles of keys: m, l and O as OnlineSoftmax holds them for a tile of
// rows.
struct OnlineSoftmaxRow {
  float m = -std::numeric_limits<float>::infinity();
  float l = 0;
  std::vector<float> O;
};

// A row's S against the keys that it sees of a tile -> P, of which the caller adds P V to O (algorithm 1,
// lines 9 and 10).
template <typename T>
void OnlineSoftmaxScalar(float scale, std::span<const float> S, OnlineSoftmaxRow& row, T* P) {
  if (S.empty()) return;
  const float m_before = row.m;
  row.m = std::max(m_before, *std::max_element(S.begin(), S.end()));
  const float rescale = std::exp((m_before - row.m) * scale);
  row.l *= rescale;
  for (float& value : row.O) value *= rescale;
  for (size_t j = 0; j < S.size(); ++j) {
    const float p = std::exp((S[j] - row.m) * scale);
    row.l += p;
    P[j] = FromFloat<T>(p);
  }
}

// S' and dS'/dS of a key `distance` positions before the query.
struct ChangedScore {
  float S, derivative;
};
inline ChangedScore ChangeScoreScalar(const ScoreChange& change, float scale, float S, int64_t distance) {
  ChangedScore changed{S, 1};
  if (change.cap > 0) {
    const float bent = std::tanh(S * scale / change.cap);
    changed = {change.cap / scale * bent, 1 - bent * bent};
  }
  changed.S -= change.slope / scale * static_cast<float>(distance);
  return changed;
}

// P again, from S and L = log(sum exp(scale * S)), and dS from dP (algorithm 2, lines 11 and 14). delta is
// the paper's D, the row's sum of dO * O.
struct ScoreGradient {
  float P, dS;
};
inline ScoreGradient ScoreGradientScalar(float scale, float S, float L, float dP, float delta) {
  const float P = std::exp(S * scale - L);
  return {P, P * scale * (dP - delta)};
}

template <typename T>
struct AttentionScalar {
  std::vector<AttentionSegment> segments;
  float scale = 1;
  int64_t rows = 0;      // Rows of Q and O: rows x heads x D.
  int64_t key_rows = 0;  // Rows of K and V: key_rows x key_heads x D.
  int64_t heads = 0;
  int64_t key_heads = 0;
  int64_t D = 0;              // Size of a head.
  int64_t tile = kScoreTile;  // Keys of a tile, the paper's B_c.
  int64_t window = kNoWindow;
  float cap = 0;
  std::vector<float> slopes;  // One a head; empty = none.
  const T* Q = nullptr;
  const T* K = nullptr;
  const T* V = nullptr;

  // O as Q; L is heads x rows.
  void Forward(T* O, float* L) const {
    ForEachRow([&](int64_t i, int64_t h, int64_t first_key, int64_t last_key) {
      OnlineSoftmaxRow row{.O = std::vector<float>(static_cast<size_t>(D))};
      std::vector<float> S;
      std::vector<T> P(static_cast<size_t>(tile));
      for (int64_t start = first_key; start < last_key; start += tile) {
        const int64_t end = std::min(start + tile, last_key);
        S.clear();
        for (int64_t j = start; j < end; ++j)
          S.push_back(Changed(Dot(Query(Q, i, h), Key(K, j, h)), h, last_key - 1 - j).S);
        OnlineSoftmaxScalar<T>(scale, S, row, P.data());
        for (int64_t j = start; j < end; ++j)
          AddTo(row.O, ToFloat(P[static_cast<size_t>(j - start)]), Key(V, j, h));
      }
      for (float& value : row.O) value /= row.l;
      Store(row.O, O + (i * heads + h) * D);
      L[h * rows + i] = row.m * scale + std::log(row.l);
    });
  }

  struct Gradients {
    const T* O = nullptr;  // O and L as Forward left them.
    const float* L = nullptr;
    const T* dO = nullptr;
    T* dQ = nullptr;
    T* dK = nullptr;
    T* dV = nullptr;
  };
  void Backward(const Gradients& g) const {
    const auto size = static_cast<size_t>(key_rows * key_heads * D);
    std::vector<float> dK(size), dV(size);
    ForEachRow([&](int64_t i, int64_t h, int64_t first_key, int64_t last_key) {
      const std::span<const T> Q_i = Query(Q, i, h), dO_i = Query(g.dO, i, h);
      const float delta = Dot(dO_i, Query(g.O, i, h));
      std::vector<float> dQ_i(static_cast<size_t>(D));
      for (int64_t j = first_key; j < last_key; ++j) {
        const ChangedScore S = Changed(Dot(Q_i, Key(K, j, h)), h, last_key - 1 - j);
        const float dP = Dot(dO_i, Key(V, j, h));
        const ScoreGradient score = ScoreGradientScalar(scale, S.S, g.L[h * rows + i], dP, delta);
        const float P = ToFloat(FromFloat<T>(score.P)), dS = ToFloat(FromFloat<T>(score.dS * S.derivative));
        AddTo(Key(dV.data(), j, h), P, dO_i);
        AddTo(dQ_i, dS, Key(K, j, h));
        AddTo(Key(dK.data(), j, h), dS, Q_i);
      }
      Store(dQ_i, g.dQ + (i * heads + h) * D);
    });
    Store(dK, g.dK);
    Store(dV, g.dV);
  }

 private:
  // body(row of Q, head, first key, key behind the last that the row sees).
  template <typename Body>
  void ForEachRow(Body body) const {
    for (const AttentionSegment& s : segments) {
      for (int64_t i = 0; i < s.queries; ++i) {
        const int64_t last_key = s.first_key + s.keys - s.queries + i + 1;
        const int64_t first_key = std::max(s.first_key, last_key - window);
        for (int64_t h = 0; h < heads; ++h) body(s.first_query + i, h, first_key, last_key);
      }
    }
  }

  ChangedScore Changed(float S, int64_t h, int64_t distance) const {
    const float slope = slopes.empty() ? 0 : slopes[static_cast<size_t>(h)];
    return ChangeScoreScalar({cap, slope}, scale, S, distance);
  }

  template <typename Value>
  std::span<Value> Query(Value* values, int64_t i, int64_t h) const {
    return {values + (i * heads + h) * D, static_cast<size_t>(D)};
  }
  template <typename Value>
  std::span<Value> Key(Value* values, int64_t j, int64_t h) const {
    return {values + (j * key_heads + h * key_heads / heads) * D, static_cast<size_t>(D)};
  }

  static float Dot(std::span<const T> a, std::span<const T> b) {
    float sum = 0;
    for (size_t d = 0; d < a.size(); ++d) sum += ToFloat(a[d]) * ToFloat(b[d]);
    return sum;
  }
  // sum += factor * row.
  static void AddTo(std::span<float> sum, float factor, std::span<const T> row) {
    for (size_t d = 0; d < row.size(); ++d) sum[d] += factor * ToFloat(row[d]);
  }
  static void Store(std::span<const float> values, T* out) {
    for (size_t d = 0; d < values.size(); ++d) out[d] = FromFloat<T>(values[d]);
  }
};

}  // namespace ft::kernels
