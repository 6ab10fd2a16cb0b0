// The trainer's operations as a step uses them, beside LibTorch's own where it has one. bench/operations.py
// reads the JSON of this program; names and arguments are its contract:
//
//   Nf4Dequantise/ROWS/COLUMNS  to bf16, maxima of double quantisation included; bytes written a second
//   Nf4Quantise/ROWS/COLUMNS    from float32, with double quantisation; bytes read a second
//   Attention/TOKENS/SEGMENT    causal, forward and backward, bf16, in the demo model's shape
//   Sdpa/TOKENS/SEGMENT         LibTorch's. It has no segments: they are the rows of a batch, its best case
//
// Run: build/dev/bench/ops/bench_ops_bench. FT_BENCH_THREADS is the number of threads (default: LibTorch's).
#include <ATen/Parallel.h>
#include <malloc.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

#include "benchmark/benchmark.h"
#include "worker/model/ops/attention.h"
#include "worker/model/ops/nf4.h"

namespace ft::ops {
namespace {

using torch::Tensor;

constexpr int64_t kHeads = 9, kKeyHeads = 3, kHeadSize = 64;

void BM_Nf4Dequantise(benchmark::State& state) {
  const Nf4Tensor packed = QuantiseNf4(torch::randn({state.range(0), state.range(1)}));
  for (auto _ : state) benchmark::DoNotOptimize(DequantiseNf4(packed, torch::kBFloat16));
  state.SetBytesProcessed(state.iterations() * packed.count() * 2);
}

void BM_Nf4Quantise(benchmark::State& state) {
  const Tensor values = torch::randn({state.range(0), state.range(1)});
  for (auto _ : state) benchmark::DoNotOptimize(QuantiseNf4(values));
  state.SetBytesProcessed(state.iterations() * values.numel() * 4);
}

Tensor Leaf(std::vector<int64_t> sizes) { return torch::randn(sizes).to(torch::kBFloat16).requires_grad_(); }

void BM_Attention(benchmark::State& state) {
  const int64_t tokens = state.range(0), length = state.range(1);
  const Tensor q = Leaf({tokens, kHeads, kHeadSize}), k = Leaf({tokens, kKeyHeads, kHeadSize}),
               v = Leaf({tokens, kKeyHeads, kHeadSize});
  const Tensor upstream = torch::randn({tokens, kHeads, kHeadSize}).to(torch::kBFloat16);
  auto segments = std::make_shared<std::vector<AttentionSegment>>();
  for (int64_t start = 0; start < tokens; start += length)
    segments->push_back({start, length, start, length});
  const AttentionShape shape{.segments = segments, .scale = 1 / std::sqrt(static_cast<double>(kHeadSize))};
  for (auto _ : state) {
    const Tensor out = CausalAttention(q, k, v, shape);
    benchmark::DoNotOptimize(torch::autograd::grad({out}, {q, k, v}, {upstream}));
  }
}

void BM_Sdpa(benchmark::State& state) {
  const int64_t length = state.range(1), rows = state.range(0) / length;
  const Tensor q = Leaf({rows, kHeads, length, kHeadSize}), k = Leaf({rows, kKeyHeads, length, kHeadSize}),
               v = Leaf({rows, kKeyHeads, length, kHeadSize});
  const Tensor upstream = torch::randn({rows, kHeads, length, kHeadSize}).to(torch::kBFloat16);
  for (auto _ : state) {
    const Tensor out =
        at::scaled_dot_product_attention(q, k, v, /*attn_mask=*/{}, /*dropout_p=*/0, /*is_causal=*/true,
                                         /*scale=*/{}, /*enable_gqa=*/true);
    benchmark::DoNotOptimize(torch::autograd::grad({out}, {q, k, v}, {upstream}));
  }
}

void Register() {
  const std::vector<std::vector<int64_t>> weights = {{1536, 576}, {11008, 4096}};
  const std::vector<std::vector<int64_t>> rows = {{256, 256}, {512, 512}, {2048, 2048}, {2048, 256}};
  for (const auto& weight : weights) {
    benchmark::RegisterBenchmark("Nf4Dequantise", BM_Nf4Dequantise)->Args(weight)->UseRealTime();
    benchmark::RegisterBenchmark("Nf4Quantise", BM_Nf4Quantise)->Args(weight)->UseRealTime();
  }
  for (const auto& row : rows) {
    benchmark::RegisterBenchmark("Attention", BM_Attention)->Args(row)->UseRealTime();
    benchmark::RegisterBenchmark("Sdpa", BM_Sdpa)->Args(row)->UseRealTime();
  }
}

}  // namespace
}  // namespace ft::ops

int main(int argc, char** argv) {
  // As ft-rank sets it: freed memory is kept, so large results do not fault in new pages each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  const char* threads = std::getenv("FT_BENCH_THREADS");
  if (threads != nullptr) at::set_num_threads(std::atoi(threads));
  ft::ops::Register();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
