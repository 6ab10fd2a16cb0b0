// Bytes of output a second, one thread. Run: build/dev/kernels/nf4/kernels_nf4_bench
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/nf4/nf4.h"

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

}  // namespace
}  // namespace ft::kernels

BENCHMARK_MAIN();
