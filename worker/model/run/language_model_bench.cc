// Seconds of one micro-batch of training on a model of the demo's shape (135 M parameters) and on two layers of
// Llama-2-7B's, random weights.
// Run: build/dev/worker/model/run/worker_model_run_bench
#include <ATen/Parallel.h>

#include <random>

#include "benchmark/benchmark.h"
#include "worker/model/decoder/family.h"
#include "worker/model/run/language_model.h"

namespace ft::run {
namespace {

model::DecoderConfig DemoShape() {
  model::DecoderConfig config;
  config.family = "llama";
  config.vocabulary = 49152;
  config.hidden = 576;
  config.layers = 30;
  config.heads = 9;
  config.key_heads = 3;
  config.head_size = 64;
  config.intermediate = 1536;
  config.tied_head = true;
  return config;
}

model::DecoderConfig SliceShape() {
  model::DecoderConfig config = DemoShape();
  config.vocabulary = 32000;
  config.hidden = 4096;
  config.layers = 2;
  config.heads = config.key_heads = 32;
  config.head_size = 128;
  config.intermediate = 11008;
  config.tied_head = false;
  return config;
}

// Weights drawn when they are read.
class RandomSource final : public weights::TensorSource {
 public:
  explicit RandomSource(const model::DecoderConfig& config) {
    for (const model::StoredWeight& weight : model::LayoutOf(config)) {
      infos_.push_back({weight.name, weights::DType::kF32, weight.shape});
    }
  }
  const std::vector<weights::TensorInfo>& tensors() const override { return infos_; }
  Status ReadBytes(const weights::TensorInfo& info, std::span<std::byte> out) const override {
    std::minstd_rand random(1);
    auto* values = reinterpret_cast<float*>(out.data());
    for (size_t i = 0; i < out.size() / sizeof(float); ++i) {
      values[i] = static_cast<float>(random()) / static_cast<float>(std::minstd_rand::max()) * 0.1f - 0.05f;
    }
    return absl::OkStatus();
  }

 private:
  std::vector<weights::TensorInfo> infos_;
};

void BM_ForwardBackward(benchmark::State& state, const model::DecoderConfig& config,
                        const ModelOptions& options) {
  at::set_num_threads(2);
  auto loaded = LanguageModel::Load(config, RandomSource(config), options);
  const int64_t length = state.range(0);
  const torch::Tensor ids = torch::randint(0, 32000, {length}, torch::kInt32);
  const std::vector<uint8_t> mask(static_cast<size_t>(length), 1);
  const PackedRows rows =
      PackRows({{{ids.const_data_ptr<int32_t>(), mask.size()}, mask, /*key=*/1}}, /*seed=*/0, /*step=*/0);
  for (auto _ : state) benchmark::DoNotOptimize((*loaded)->ForwardBackward(rows, 1e-3));
  state.counters["tokens/s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * length), benchmark::Counter::kIsRate);
}

#define FT_BENCH_OF(shape, name, ...)                                             \
  BENCHMARK_CAPTURE(BM_ForwardBackward, name, shape(), ModelOptions{__VA_ARGS__}) \
      ->Arg(512)                                                                  \
      ->Unit(benchmark::kMillisecond)                                             \
      ->UseRealTime()                                                             \
      ->MinTime(2)
#define FT_BENCH(name, ...) FT_BENCH_OF(DemoShape, name, __VA_ARGS__)->Arg(128)
FT_BENCH(qlora_bf16, .dtype = "bf16", .method = "qlora", .rank = 16, .dropout = 0.1);
FT_BENCH(qlora_fp32, .dtype = "fp32", .method = "qlora", .rank = 16, .dropout = 0.1);
FT_BENCH(qlora_bf16_kept, .dtype = "bf16", .method = "qlora", .rank = 16, .dropout = 0.1,
         .checkpointing = false);
FT_BENCH(qlora_bf16_r64_kept, .dtype = "bf16", .method = "qlora", .rank = 64, .checkpointing = false);
FT_BENCH_OF(SliceShape, slice_qlora_bf16_r64_kept, .dtype = "bf16", .method = "qlora", .rank = 64,
            .checkpointing = false);
FT_BENCH(lora_bf16_plain, .dtype = "bf16", .method = "lora", .rank = 16);
FT_BENCH(lora_bf16_fp32_adapter, .dtype = "bf16", .method = "lora", .rank = 16, .adapter_compute = "fp32");

}  // namespace
}  // namespace ft::run

BENCHMARK_MAIN();
