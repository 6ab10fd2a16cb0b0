// What one core multiplies, in GFLOPS: oneDNN's micro-GEMM by tile, and in the shapes of the demo model's
// layers and of Llama-2-7B's LibTorch's mm beside the fused GEMM by panels, of a resident and of a 4-bit
// weight. Run: build/dev/worker/model/ops/worker_model_ops_bench
#include <ATen/Parallel.h>
#include <torch/types.h>

#include "benchmark/benchmark.h"
#include "worker/model/ops/fused_gemm.h"
#include "worker/model/ops/micro_gemm.h"
#include "worker/model/ops/nf4.h"

namespace ft::ops {
namespace {

using kernels::BF16;

void CountFlops(benchmark::State& state) {
  const auto flops =
      2 * static_cast<double>(state.range(0) * state.range(1) * state.range(2) * state.iterations());
  state.counters["GFLOPS"] = benchmark::Counter(flops * 1e-9, benchmark::Counter::kIsRate);
}

template <typename T>
constexpr at::ScalarType kType = sizeof(T) == 2 ? at::kBFloat16 : at::kFloat;

// Rows x columns x inner.
template <typename T>
void BM_Tile(benchmark::State& state) {
  if (sizeof(T) == 2 && !MultipliesBf16()) return state.SkipWithError("this CPU does not multiply bfloat16");
  const int64_t rows = state.range(0), columns = state.range(1), inner = state.range(2);
  const torch::Tensor a = torch::randn({rows, inner}).to(kType<T>),
                      b = torch::randn({inner, columns}).to(kType<T>);
  torch::Tensor c = torch::zeros({rows, columns});
  const auto* left = static_cast<const T*>(a.const_data_ptr());
  const auto* right = static_cast<const T*>(b.const_data_ptr());
  for (auto _ : state) {
    Multiply<T>({rows, columns, inner, left, inner, right, columns, c.data_ptr<float>(), columns, true});
  }
  CountFlops(state);
}
BENCHMARK(BM_Tile<BF16>)->Args({64, 64, 64})->Args({64, 32, 512})->Args({64, 64, 512})->Args({64, 32, 576});
BENCHMARK(BM_Tile<float>)->Args({64, 64, 64})->Args({64, 32, 256})->Args({64, 64, 256})->Args({64, 32, 576});

void Shapes(benchmark::internal::Benchmark* bench) {
  for (const auto& [columns, inner] :
       {std::pair{576, 576}, {192, 576}, {1536, 576}, {576, 1536}, {64, 576}, {4096, 4096}, {11008, 4096}}) {
    bench->Args({512, columns, inner});
  }
}

template <typename T>
void BM_Mm(benchmark::State& state) {
  at::set_num_threads(1);
  const torch::Tensor a = torch::randn({state.range(0), state.range(2)}).to(kType<T>),
                      weight = torch::randn({state.range(1), state.range(2)}).to(kType<T>);
  for (auto _ : state) benchmark::DoNotOptimize(at::mm(a, weight.t()));
  CountFlops(state);
}
BENCHMARK(BM_Mm<BF16>)->Apply(Shapes);
BENCHMARK(BM_Mm<float>)->Apply(Shapes);

// A frozen weight of a layer, resident or in 4 bits.
class BenchSlot final : public WeightSlot {
 public:
  BenchSlot(const torch::Tensor& weight_OI, at::ScalarType type, bool codes)
      : WeightSlot("w", weight_OI.sizes().vec(), at::kCPU), weight_OI_(weight_OI.to(type)) {
    if (codes) codes_ = QuantiseNf4(weight_OI);
  }
  std::shared_ptr<const MatrixTiles> Tiles(at::ScalarType type) const override {
    if (codes_.packed.defined()) return Nf4Tiles(codes_, type);
    return WeightSlot::Tiles(type);
  }

 private:
  torch::Tensor Load(at::ScalarType) const override { return weight_OI_; }
  const torch::Tensor weight_OI_;
  Nf4Tensor codes_;
};

// y = x W^T, or dx = dy W.
template <typename T, bool kCodes, bool kTransposed>
void BM_Sum(benchmark::State& state) {
  at::set_num_threads(1);
  const int64_t rows = state.range(0), columns = state.range(1), inner = state.range(2);
  const torch::Tensor a = torch::randn({rows, inner}).to(kType<T>);
  const BenchSlot weight(kTransposed ? torch::randn({columns, inner}) : torch::randn({inner, columns}),
                         kType<T>, kCodes);
  for (auto _ : state) {
    benchmark::DoNotOptimize(Compute({.terms = {{a, &weight, {}, kTransposed}}, .type = kType<T>}));
  }
  CountFlops(state);
}
BENCHMARK(BM_Sum<BF16, false, true>)->Apply(Shapes);
BENCHMARK(BM_Sum<BF16, true, true>)->Apply(Shapes);
BENCHMARK(BM_Sum<BF16, true, false>)->Apply(Shapes);
BENCHMARK(BM_Sum<float, false, true>)->Apply(Shapes);
BENCHMARK(BM_Sum<float, true, true>)->Apply(Shapes);
BENCHMARK(BM_Sum<float, true, false>)->Apply(Shapes);

}  // namespace
}  // namespace ft::ops

BENCHMARK_MAIN();
