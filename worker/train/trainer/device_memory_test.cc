// What core/plan says that a job takes of a GPU's memory, beside what two steps of it took of one, simulated or not. LibTorch's allocator
// counts, so the parts that it does not know of are left out.
#include <ATen/Parallel.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "absl/strings/str_format.h"
#include "core/plan/config_shape.h"
#include "core/plan/device_memory.h"
#include "gtest/gtest.h"
#include "tests/support/ranks/spawn_ranks.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_device.h"
#include "worker/model/run/small_model_fixture.h"
#include "worker/train/shard/unit_exchange.h"
#include "worker/train/trainer/trainer.h"

namespace ft::train {
namespace {

using ::ft::testing::TempDir;

constexpr double kTolerance = 0.02;
constexpr int64_t kSamples = 16;
constexpr int kVocabulary = 1500;

// A decoder; `tied` shares the head with the embedding.
std::string ConfigText(int layers, int heads, int key_heads, int head_size, int intermediate, bool tied) {
  return absl::StrFormat(
      R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": %d, "hidden_size": 192,
          "num_hidden_layers": %d, "num_attention_heads": %d, "num_key_value_heads": %d, "head_dim": %d,
          "intermediate_size": %d, "tie_word_embeddings": %s, "rms_norm_eps": 1e-5, "hidden_act": "silu",
          "max_position_embeddings": 2048})",
      kVocabulary, layers, heads, key_heads, head_size, intermediate, tied ? "true" : "false");
}

struct Case {
  const char* name;
  recipe::MethodSpec method;
  const char* dtype = "bf16";
  int64_t micro_batch = 2;
  int64_t length = 128;
  bool packing = false;
  bool checkpointing = true;
  int64_t checkpointed_blocks = 0;
  const char* optimizer = "adamw";
  bool tied = true;
  int ranks = 1, zero = 0;
  int layers = 2, heads = 6, key_heads = 6, head_size = 32, intermediate = 512;
};

recipe::JobSpec JobOf(const Case& c) {
  recipe::JobSpec spec;
  spec.model.dtype = c.dtype;
  spec.method = c.method;
  spec.train.packing = c.packing;
  spec.train.packed_length = c.packing ? 2 * c.length : 0;
  spec.train.max_length = c.length;
  spec.train.micro_batch = c.micro_batch;
  spec.train.accumulation = 1;
  spec.train.max_steps = 2;
  spec.train.activation_checkpointing = c.checkpointing;
  spec.train.checkpointed_blocks = c.checkpointed_blocks;
  spec.train.optimizer.kind = c.optimizer;
  spec.train.optimizer.lr = 1e-3;
  spec.train.ledger_every = 1;
  spec.parallel = {.ranks = c.ranks, .zero = c.zero};
  spec.resources.device = "gpu";
  return spec;
}

std::string WriteCache(const TempDir& dir, int64_t length) {
  data::TokenCacheWriter writer;
  for (int32_t sample = 0; sample < kSamples; ++sample) {
    std::vector<int32_t> ids;
    for (int32_t t = 0; t < length; ++t) ids.push_back((sample * 7 + t * t * 3 + 1) % kVocabulary);
    writer.AddTrain(ids, std::vector<uint8_t>(ids.size(), 1));
  }
  const StatusOr<std::string> digest = writer.Write(dir.path());
  EXPECT_TRUE(digest.ok()) << digest.status();
  return dir / StrCat(*digest, ".ftt");
}

// Bytes of tensors.
struct Held {
  int64_t standing = 0;  // Between steps.
  int64_t peak = 0;
};

Held Predicted(const Case& c, const plan::ModelShape& shape, std::string& parts) {
  const plan::DataSize data{.longest_sample = c.length, .total = kSamples * c.length, .samples = kSamples};
  const auto stands = [](std::string_view name) {
    return name == "base weights" || name == "weights of one product" || name.starts_with("trained weights");
  };
  Held held;
  for (const plan::MemoryPart& part : plan::EstimateDeviceMemory(
           shape, JobOf(c), std::string_view(c.dtype) == "bf16", data, plan::UnknownCard())) {
    if (part.fixed) continue;
    held.peak += part.bytes;
    if (stands(part.name)) held.standing += part.bytes;
    absl::StrAppendFormat(&parts, "%9d KiB %s\n", part.bytes >> 10, part.name);
  }
  return held;
}

c10::CachingAllocator::Stat AllocatedOn(at::Device device) {
  return c10::getDeviceAllocator(device.type())
      ->getDeviceStats(device.index())
      .allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
}

run::ModelOptions ModelOptionsOf(const Case& c, at::Device device, shard::UnitExchange& exchange) {
  return {.dtype = c.dtype,
          .method = c.method.kind,
          .rank = c.method.rank,
          .alpha = 16,
          .dropout = c.method.dropout,
          .targets = c.method.targets,
          .checkpointing = c.checkpointing,
          .checkpointed_blocks = c.checkpointed_blocks,
          .device = device,
          .division = shard::DivisionOf(*recipe::Sharding::Of(JobOf(c)), exchange)};
}

// What two steps of one rank take of the device.
void Train(const Case& c, const std::string& config_text, at::Device device, comm::Comm& comm, Held& held) {
  at::set_num_threads(1);
  const c10::DeviceGuard guard(device);
  const TempDir dir;
  const auto cache = data::TokenCache::Open(WriteCache(dir, c.length), /*verify=*/false);
  const auto config = model::ParseConfig(config_text, "config.json");
  ASSERT_TRUE(cache.ok() && config.ok()) << cache.status() << config.status();
  shard::UnitExchange exchange(comm);
  const auto model =
      run::LanguageModel::Load(*config, run::RandomWeights(*config), ModelOptionsOf(c, device, exchange));
  ASSERT_TRUE(model.ok()) << model.status();
  c10::getDeviceAllocator(device.type())->resetPeakStats(device.index());
  Trainer trainer(JobOf(c), *cache, **model, comm, [](std::string_view) {});
  for (int64_t step = 1; step <= 2; ++step) {
    const StatusOr<StepOutcome> outcome = trainer.RunStep(step);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
  }
  held = {.standing = AllocatedOn(device).current, .peak = AllocatedOn(device).peak};
}

Held Measured(const Case& c, const std::string& config_text) {
  std::vector<Held> held(static_cast<size_t>(c.ranks));
  ::ft::testing::SpawnRanks(c.ranks, [&](comm::Comm& comm) {
    const at::Device device(TestDevice().type(), static_cast<c10::DeviceIndex>(comm.rank()));
    Train(c, config_text, device, comm, held[static_cast<size_t>(comm.rank())]);
  });
  return held[0];
}

recipe::MethodSpec Adapter(const char* kind, int rank, double dropout = 0.1,
                           std::vector<std::string> targets = {"all_linear"}) {
  recipe::MethodSpec method{.kind = kind, .rank = rank, .alpha = 16, .dropout = dropout};
  method.targets = std::move(targets);
  return method;
}

std::vector<Case> Cases() {
  const recipe::MethodSpec full{.kind = "full"};
  return {
      {.name = "qlora", .method = Adapter("qlora", 16)},
      {.name = "qlora_kept", .method = Adapter("qlora", 16), .checkpointing = false},
      {.name = "qlora_packed",
       .method = Adapter("qlora", 16, 0),
       .micro_batch = 1,
       .packing = true,
       .heads = 12,
       .key_heads = 4,
       .head_size = 16},
      {.name = "lora_some", .method = Adapter("lora", 8, 0.1, {"q_proj", "v_proj"}), .tied = false},
      {.name = "lora_no_dropout", .method = Adapter("lora", 32, 0), .length = 192, .checkpointing = false},
      {.name = "lora_fp32", .method = Adapter("lora", 8), .dtype = "fp32"},
      {.name = "lora_fp32_grouped",
       .method = Adapter("lora", 8, 0),
       .dtype = "fp32",
       .checkpointing = false,
       .key_heads = 2},
      {.name = "int8", .method = Adapter("int8_lora", 16), .intermediate = 768},
      {.name = "qlora_wide", .method = Adapter("qlora", 16), .intermediate = 2048},
      {.name = "int8_wide", .method = Adapter("int8_lora", 16, 0), .intermediate = 2048},
      {.name = "full", .method = full},
      {.name = "full_untied_kept", .method = full, .micro_batch = 3, .checkpointing = false, .tied = false},
      {.name = "full_fp32_8bit", .method = full, .dtype = "fp32", .optimizer = "adamw_8bit"},
      {.name = "qlora_half",
       .method = Adapter("qlora", 64),
       .micro_batch = 4,
       .checkpointed_blocks = 2,
       .layers = 4},
      {.name = "full_zero_2", .method = full, .ranks = 2, .zero = 2},
  };
}

TEST(DeviceMemory, IsWhatIsPlanned) {
  if (TestDevice().is_cpu()) GTEST_SKIP() << "counts a device's memory";
  const int devices = c10::impl::VirtualGuardImpl(TestDevice().type()).deviceCount();
  for (const Case& c : Cases()) {
    if (c.ranks > devices) continue;
    const std::string text = ConfigText(c.layers, c.heads, c.key_heads, c.head_size, c.intermediate, c.tied);
    const auto shape = plan::ShapeOfConfig(text, "config.json");
    ASSERT_TRUE(shape.ok()) << shape.status();
    std::string parts;
    const Held predicted = Predicted(c, shape->shape, parts), measured = Measured(c, text);
    const auto ratio = [](int64_t of, int64_t to) {
      return static_cast<double>(of) / static_cast<double>(to);
    };
    const double all = ratio(predicted.peak, measured.peak),
                 standing = ratio(predicted.standing, measured.standing),
                 step = ratio(predicted.peak - predicted.standing, measured.peak - measured.standing);
    absl::PrintF("%-18s predicted %6d KiB, measured %6d: %.4f (standing %.4f, a step %.4f)\n", c.name,
                 predicted.peak >> 10, measured.peak >> 10, all, standing, step);
    EXPECT_NEAR(all, 1, kTolerance) << c.name << "\n" << parts;
    EXPECT_NEAR(standing, 1, kTolerance) << c.name << "\n" << parts;
    EXPECT_NEAR(step, 1, kTolerance) << c.name << "\n" << parts;
  }
}

}  // namespace
}  // namespace ft::train
