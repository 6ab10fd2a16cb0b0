// Bytes of output, or of codes, a second, one thread. Run: build/dev/kernels/nf4/kernels_nf4_bench
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/nf4/nf4_rows.h"

namespace ft::kernels {
namespace {

constexpr int64_t kCount = 1536 * 576;

template <typename T>
void BM_Dequantise(benchmark::State& state) {
  std::vector<uint8_t> packed(kCount / 2, 0x5a);
  std::vector<float> absmax(Nf4Blocks(kCount), 0.1f);
  std::vector<T> out(kCount);
  for (auto _ : state) {
    Nf4Dequantise<T>(packed.data(), absmax.data(), kCount, 0, Nf4Blocks(kCount), out.data());
    benchmark::DoNotOptimize(out.data());
  }
  state.SetBytesProcessed(state.iterations() * kCount * static_cast<int64_t>(sizeof(T)));
}
BENCHMARK(BM_Dequantise<float>);
BENCHMARK(BM_Dequantise<BF16>);

void BM_Quantise(benchmark::State& state) {
  std::vector<float> values(kCount);
  for (int64_t i = 0; i < kCount; ++i) values[i] = static_cast<float>(i % 257) - 128;
  std::vector<uint8_t> packed(kCount / 2);
  std::vector<float> absmax(Nf4Blocks(kCount));
  for (auto _ : state) {
    Nf4Quantise(values.data(), kCount, 0, Nf4Blocks(kCount), packed.data(), absmax.data());
    benchmark::DoNotOptimize(packed.data());
  }
  state.SetItemsProcessed(state.iterations() * kCount);
}
BENCHMARK(BM_Quantise);

// Bytes of codes a second, for so many rows, of a matrix that no cache holds.
void BM_RowSums(benchmark::State& state) {
  constexpr int64_t kColumns = 4096, kOutputs = 32768;
  const int64_t rows = state.range(0);
  std::vector<uint8_t> packed(kColumns * kOutputs / 2, 0x5a);
  std::vector<float> absmax(Nf4Blocks(kColumns * kOutputs), 0.1f), factors(Nf4Blocks(rows * kColumns), 1e-9f),
      sums(rows * kOutputs);
  std::vector<int16_t> steps(rows * kColumns, 5000);
  for (auto _ : state) {
    Nf4RowSums({packed.data(), {.absmax = absmax.data()}, kColumns}, {steps.data(), factors.data(), rows}, 0,
               kOutputs, false, sums.data(), kOutputs);
    benchmark::DoNotOptimize(sums.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(packed.size()));
}
BENCHMARK(BM_RowSums)->Arg(1)->Arg(2)->Arg(4)->Arg(8);

}  // namespace
}  // namespace ft::kernels

BENCHMARK_MAIN();
