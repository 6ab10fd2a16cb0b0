// Values a second, one thread. Run: build/dev/kernels/philox/kernels_philox_bench
#include <vector>

#include "benchmark/benchmark.h"
#include "kernels/philox/philox.h"

namespace ft::kernels {
namespace {

template <typename T>
void BM_Dropout(benchmark::State& state) {
  constexpr int64_t kRows = 256, kChannels = 576;
  const std::vector<uint64_t> sample(kRows, 1);
  const std::vector<int64_t> position(kRows, 2);
  const DropoutShape shape{.key = 1,
                           .sample = sample.data(),
                           .position = position.data(),
                           .channels = kChannels,
                           .probability = 0.1f};
  std::vector<T> x(kRows * kChannels), y(x.size());
  for (auto _ : state) {
    Dropout<T>(shape, 0, kRows, x.data(), y.data());
    benchmark::DoNotOptimize(y.data());
  }
  state.SetItemsProcessed(state.iterations() * kRows * kChannels);
}
BENCHMARK(BM_Dropout<float>);
BENCHMARK(BM_Dropout<BF16>);

}  // namespace
}  // namespace ft::kernels

BENCHMARK_MAIN();
