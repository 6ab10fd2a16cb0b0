// Scores a second of the parts, one thread, beside the scalar definition of the softmax; rows of a head of
// 64. Run: build/dev/kernels/attention/kernels_attention_bench
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/attention_scalar.h"

namespace ft::kernels {
namespace {

constexpr int64_t kHeadSize = 64;

std::vector<float> Scores(int64_t count) {
  std::vector<float> scores;
  for (int64_t i = 0; i < count; ++i) scores.push_back(static_cast<float>(i * 37 % 257) / 128 - 1);
  return scores;
}

// One tile after another: the maximum changes in the first only, as it mostly does.
template <typename T>
void BM_OnlineSoftmax(benchmark::State& state) {
  const std::vector<float> s = Scores(kAttentionTile * kScoreStride);
  std::vector<T> p(s.size());
  std::vector<float> o(kAttentionTile * kHeadSize);
  OnlineSoftmax softmax{.o = o.data(), .head_size = kHeadSize};
  InitOnlineSoftmax(softmax);
  const ScoreTile tile{kAttentionTile, kScoreTile, kScoreTile, 0.125f};
  for (auto _ : state) {
    OnlineSoftmaxTile<T>(tile, s.data(), p.data(), softmax);
    benchmark::DoNotOptimize(p.data());
  }
  state.SetItemsProcessed(state.iterations() * kAttentionTile * kScoreTile);
}
BENCHMARK(BM_OnlineSoftmax<float>);
BENCHMARK(BM_OnlineSoftmax<BF16>);

template <typename T>
void BM_OnlineSoftmaxScalar(benchmark::State& state) {
  const std::vector<float> s = Scores(kScoreTile);
  std::vector<T> p(s.size());
  OnlineSoftmaxRow row{.O = std::vector<float>(kHeadSize)};
  for (auto _ : state) {
    OnlineSoftmaxScalar<T>(0.125f, s, row, p.data());
    benchmark::DoNotOptimize(p.data());
  }
  state.SetItemsProcessed(state.iterations() * kScoreTile);
}
BENCHMARK(BM_OnlineSoftmaxScalar<float>);
BENCHMARK(BM_OnlineSoftmaxScalar<BF16>);

template <typename T>
void BM_ScoreGradients(benchmark::State& state) {
  constexpr int64_t kSize = kAttentionTile * kAttentionTile;
  const std::vector<float> s = Scores(kSize), dp = Scores(kSize), lse(kAttentionTile, 4),
                           delta(kAttentionTile, 0.1f);
  std::vector<T> p(kSize), ds(kSize), packed(kSize);
  const GradientTile tile{kAttentionTile, kAttentionTile, 0, kAttentionTile, 0.125f};
  for (auto _ : state) {
    ScoreGradients<T>(tile, {s.data(), dp.data(), lse.data(), delta.data()},
                      {p.data(), ds.data(), packed.data()});
    benchmark::DoNotOptimize(ds.data());
  }
  state.SetItemsProcessed(state.iterations() * kSize);
}
BENCHMARK(BM_ScoreGradients<float>);
BENCHMARK(BM_ScoreGradients<BF16>);

template <typename T>
void BM_RowDots(benchmark::State& state) {
  const std::vector<T> a(kAttentionTile * kHeadSize), b(a.size());
  std::vector<float> delta(kAttentionTile);
  for (auto _ : state) {
    RowDots<T>({a.data(), kAttentionTile, kHeadSize, kHeadSize},
               {b.data(), kAttentionTile, kHeadSize, kHeadSize}, delta.data());
    benchmark::DoNotOptimize(delta.data());
  }
  state.SetItemsProcessed(state.iterations() * kAttentionTile * kHeadSize);
}
BENCHMARK(BM_RowDots<float>);
BENCHMARK(BM_RowDots<BF16>);

template <typename T>
void BM_Transpose(benchmark::State& state) {
  const std::vector<T> in(kAttentionTile * kHeadSize);
  std::vector<T> out(in.size());
  for (auto _ : state) {
    Transpose<T>({in.data(), kAttentionTile, kHeadSize, kHeadSize}, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * kAttentionTile * kHeadSize);
}
BENCHMARK(BM_Transpose<float>);
BENCHMARK(BM_Transpose<BF16>);

}  // namespace
}  // namespace ft::kernels

BENCHMARK_MAIN();
