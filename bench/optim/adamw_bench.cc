// AdamW's update as the trainer calls it, beside memory that is only read and written. bench/operations.py reads the JSON of this program;
// names and arguments are its contract:
//
//   AdamW/WEIGHTS      ops::AdamW over float32 weights, gradients and two moments
//   ReadWrite/WEIGHTS  the same four arrays, three of them added to in place
//
// Bytes a second count 28 a weight for both: 16 read (weight, gradient, two moments), 12 written (no gradient). The bf16 copy that is
// computed with is no part of either: the trainer makes it later, from all weights at once. Nor are the page faults of arrays that nobody has
// written yet.
//
// Run: build/dev/bench/optim/bench_optim_bench. FT_BENCH_THREADS is the number of threads (default: LibTorch's).
#include <ATen/Parallel.h>

#include <cstdlib>

#include "bench/optim/read_write.h"
#include "benchmark/benchmark.h"
#include "worker/model/ops/adamw.h"

namespace ft::optim {
namespace {

using torch::Tensor;

constexpr int64_t kBytes = 28;       // Of a weight.
constexpr int64_t kGrain = 1 << 16;  // Weights.

struct Arrays {
  explicit Arrays(int64_t weights)
      : values(torch::randn(weights)),
        gradients(torch::full(weights, 1e-3)),
        first(torch::zeros(weights)),
        second(torch::zeros(weights)) {
    first.fill_(0);  // Zeros of a new tensor are pages that are not there yet.
    second.fill_(0);
  }

  Tensor values, gradients, first, second;
};

void Count(benchmark::State& state) { state.SetBytesProcessed(state.iterations() * state.range(0) * kBytes); }

void BM_AdamW(benchmark::State& state) {
  const torch::NoGradGuard no_grad;
  const Arrays arrays(state.range(0));
  ops::AdamWStep step{
      .lr = 1e-4, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .steps = 0};
  for (auto _ : state) {
    ++step.steps;
    ops::AdamW(step, arrays.values, arrays.gradients, arrays.first, arrays.second);
  }
  Count(state);
}

void BM_ReadWrite(benchmark::State& state) {
  const Arrays arrays(state.range(0));
  const float* added = arrays.gradients.const_data_ptr<float>();
  const auto from = [](const Tensor& sums, int64_t begin) { return sums.mutable_data_ptr<float>() + begin; };
  for (auto _ : state) {
    at::parallel_for(0, state.range(0), kGrain, [&](int64_t begin, int64_t end) {
      AddToThree(end - begin, added + begin, from(arrays.values, begin), from(arrays.first, begin),
                 from(arrays.second, begin));
    });
  }
  Count(state);
}

// No cache holds the four arrays of 256 MiB.
BENCHMARK(BM_AdamW)->Name("AdamW")->Arg(1 << 24)->UseRealTime();
BENCHMARK(BM_ReadWrite)->Name("ReadWrite")->Arg(1 << 24)->UseRealTime();

}  // namespace
}  // namespace ft::optim

int main(int argc, char** argv) {
  const char* threads = std::getenv("FT_BENCH_THREADS");
  if (threads != nullptr) at::set_num_threads(std::atoi(threads));
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
