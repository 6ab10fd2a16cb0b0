// Which projections get a LoRA adapter, and their first values.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/decoder/decoder.h"
#include "worker/model/run/load.h"

namespace ft::run {

struct AdapterOptions {
  int rank = 8;                                       // 1..1024.
  double alpha = 16;                                  // Outputs are scaled by alpha / rank.
  double dropout = 0;                                 // On the adapter's input, 0..1.
  std::vector<std::string> targets = {
      "all_linear"};  // Or last parts of module names (q_proj, down_proj), or whole ones.
  at::ScalarType compute = at::kFloat;                // Of the adapter's products.
  at::ScalarType rounded_to = at::kFloat;             // What A and B are rounded to when they are used.
  uint64_t seed = 0;                                  // Of A's first values.
};

// "base_model.model.<module>.lora_A.weight" (or lora_B): how PEFT names adapter tensors.
std::string AdapterName(const std::string& module, char which);

// Attaches an adapter to every target projection and appends A and B (float32) to `trained`. A starts uniform
// in
// +-1/sqrt(inputs), B at zero, as PEFT does; A's numbers are a function of seed, name and index only.
// INVALID_ARGUMENT names a target that no projection has, or a rank or dropout out of range.
Status AttachAdapters(const AdapterOptions& options, model::DecoderWeights& weights, TrainedSlots& trained);

}  // namespace ft::run
