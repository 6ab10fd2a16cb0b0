// LoRA adapters (Hu et al., arXiv 2106.09685) in a model: which linear layers get one, what it trains, and its first values.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/ops/linear.h"
#include "worker/model/params/parameter_store.h"

namespace ft::params {

struct AdapterOptions {
  int rank = 8;        // 1..1024.
  double alpha = 16;   // Outputs are scaled by alpha / rank.
  double dropout = 0;  // On the adapter's input, 0..1.
  // "all_linear", or last parts of module names (q_proj, down_proj), or whole ones.
  std::vector<std::string> targets = {"all_linear"};
  at::ScalarType compute = at::kFloat;     // Dtype of the adapter's products.
  at::ScalarType cast_dtype = at::kFloat;  // What A and B are rounded to when they are used.
  uint64_t seed = 0;                       // Seed of A's first values.
};

// A linear layer that can have an adapter.
struct LinearModule {
  std::string name;  // Whole: model.layers.0.self_attn.q_proj.
  int64_t inputs = 0, outputs = 0;
  int unit = 0;  // As in plan::TrainedTensor.
};

// "base_model.model.<module>.lora_A.weight" (or lora_B): how PEFT names adapter tensors.
std::string AdapterName(const std::string& module, char which);

// INVALID_ARGUMENT names a target that none of the modules has, or a rank or dropout out of range.
Status CheckAdapterOptions(const AdapterOptions& options, const std::vector<LinearModule>& modules);

bool IsTarget(const AdapterOptions& options, const std::string& module);

// A [rank, inputs] and B [outputs, rank].
std::vector<plan::TrainedTensor> AdapterTensors(const AdapterOptions& options, const LinearModule& module);

// The adapter over the store's tensors, with first values: A uniform in +-1/sqrt(inputs), B zero, as PEFT does. A's numbers are a
// function of seed, name and index only. REQUIRES: a store that has the module's AdapterTensors.
ops::LoraSlots MakeAdapter(const AdapterOptions& options, const LinearModule& module, ParameterStore& store);

}  // namespace ft::params
