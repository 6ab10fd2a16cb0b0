// What one core multiplies in bf16, in GFLOPS: oneDNN's small products by tile, and LibTorch's mm in the shapes of the
// demo model's layers. Run: build/dev/worker/ops/worker_ops_bench
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "benchmark/benchmark.h"
#include "worker/ops/product.h"

namespace ft::ops {
namespace {

void CountFlops(benchmark::State& state) {
  const auto flops = 2 * static_cast<double>(state.range(0) * state.range(1) * state.range(2) * state.iterations());
  state.counters["GFLOPS"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsRate);
}

// Rows x columns x inner.
void BM_Tile(benchmark::State& state) {
  const int64_t rows = state.range(0), columns = state.range(1), inner = state.range(2);
  const torch::Tensor a = torch::randn({rows, inner}).to(at::kBFloat16), b = torch::randn({inner, columns}).to(at::kBFloat16);
  torch::Tensor c = torch::zeros({rows, columns});
  const auto* left = static_cast<const kernels::BF16*>(a.const_data_ptr());
  const auto* right = static_cast<const kernels::BF16*>(b.const_data_ptr());
  for (auto _ : state) {
    Multiply<kernels::BF16>({rows, columns, inner, left, inner, right, columns, c.data_ptr<float>(), columns, true});
  }
  CountFlops(state);
}
BENCHMARK(BM_Tile)->Args({64, 64, 64})->Args({64, 32, 576})->Args({64, 32, 1536})->Args({64, 64, 576})->Args({512, 64, 576});

void BM_Mm(benchmark::State& state) {
  at::set_num_threads(1);
  const torch::Tensor a = torch::randn({state.range(0), state.range(2)}).to(at::kBFloat16),
                      weight = torch::randn({state.range(1), state.range(2)}).to(at::kBFloat16);
  for (auto _ : state) benchmark::DoNotOptimize(at::mm(a, weight.t()));
  CountFlops(state);
}
BENCHMARK(BM_Mm)->Args({512, 576, 576})->Args({512, 192, 576})->Args({512, 1536, 576})->Args({512, 576, 1536})->Args({512, 64, 576});

}  // namespace
}  // namespace ft::ops

BENCHMARK_MAIN();
