// Peaks that other trainers published for jobs that this one can be asked for (docs/memory.md has the sources), beside what is estimated
// for them. The sources mix 1e9 and 2^30 bytes, so none is better known than to 7 %.
#include <gtest/gtest.h>

#include "core/plan/device_memory.h"
#include "core/plan/llama_7b_fixture.h"

namespace ft::plan {
namespace {

const ModelShape kLlama13B{.vocabulary = 32000,
                           .hidden = 5120,
                           .layers = 40,
                           .heads = 40,
                           .key_heads = 40,
                           .head_size = 128,
                           .intermediate = 13824};
const ModelShape kQwen7B{.vocabulary = 151936,
                         .hidden = 4096,
                         .layers = 32,
                         .heads = 32,
                         .key_heads = 32,
                         .head_size = 128,
                         .intermediate = 11008};
const ModelShape kQwen72B{.vocabulary = 152064,
                          .hidden = 8192,
                          .layers = 80,
                          .heads = 64,
                          .key_heads = 64,
                          .head_size = 128,
                          .intermediate = 24576};

struct Published {
  const char* name;
  const ModelShape* shape;
  const char* method;
  int rank;
  std::vector<std::string> targets;
  int64_t rows, length;
  bool checkpointing;
  double gigabytes;
};

class PublishedPeaks : public ::testing::TestWithParam<Published> {};

TEST_P(PublishedPeaks, AreWhatIsEstimated) {
  const Published& p = GetParam();
  recipe::JobSpec spec;
  spec.resources.device = "gpu";
  spec.method = {.kind = p.method, .rank = p.rank, .dropout = 0.05, .targets = p.targets};
  spec.train.packing = false;
  spec.train.micro_batch = p.rows;
  spec.train.max_length = p.length;
  spec.train.activation_checkpointing = p.checkpointing;
  const auto card = CardOf("a100-80g");
  ASSERT_TRUE(card.ok());
  const auto parts = EstimateDeviceMemory(*p.shape, spec, /*bf16=*/true, {}, *card);
  const double ratio = static_cast<double>(TotalBytes(parts)) / 1e9 / p.gigabytes;
  std::string table;
  for (const MemoryPart& part : parts)
    table += part.name + " " + std::to_string(part.bytes / 1000000) + " MB\n";
  RecordProperty("ratio", std::to_string(ratio));
  // What is recomputed is alike in all trainers, and weights are most of the memory. What is kept is not: others keep what frozen layers
  // read and logits in float32, which this one does not.
  EXPECT_LE(ratio, 1.07) << table;
  EXPECT_GE(ratio, p.checkpointing ? 0.85 : 0.65) << table;
}

const std::vector<std::string> kAll = {"all_linear"}, kSome = {"q_proj", "v_proj"};

INSTANTIATE_TEST_SUITE_P(
    LitGptAndQwen, PublishedPeaks,
    ::testing::Values(Published{"llama7b_lora", &kLlama7B, "lora", 8, kSome, 1, 1304, false, 21.30},
                      Published{"llama7b_lora_2", &kLlama7B, "lora", 8, kSome, 2, 1304, false, 29.07},
                      Published{"llama13b_lora", &kLlama13B, "lora", 8, kSome, 1, 1304, false, 38.12},
                      Published{"llama7b_qlora", &kLlama7B, "qlora", 8, kSome, 1, 1304, false, 13.84},
                      Published{"llama13b_qlora", &kLlama13B, "qlora", 8, kSome, 1, 1304, false, 22.55},
                      Published{"qwen7b_lora_512", &kQwen7B, "lora", 64, kAll, 1, 512, true, 20.4},
                      Published{"qwen7b_lora_2048", &kQwen7B, "lora", 64, kAll, 1, 2048, true, 23.8},
                      Published{"qwen7b_lora_8192", &kQwen7B, "lora", 64, kAll, 1, 8192, true, 36.6},
                      Published{"qwen7b_qlora_2048", &kQwen7B, "qlora", 64, kAll, 1, 2048, true, 13.9},
                      Published{"qwen72b_qlora_512", &kQwen72B, "qlora", 64, kAll, 1, 512, true, 61.4}),
    [](const ::testing::TestParamInfo<Published>& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace ft::plan
