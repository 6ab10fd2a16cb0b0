// LoRA adapters (Hu et al., arXiv 2106.09685) in a model: which linear layers get one, what it trains, and its first values.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/ops/linear.h"
#include "worker/model/params/adapter_kind.h"
#include "worker/model/params/parameter_store.h"

namespace ft::params {

struct AdapterOptions {
  int rank = 8;        // 1..1024.
  double alpha = 16;   // Outputs are scaled by alpha / rank.
  double dropout = 0;  // On the adapter's input, 0..1.
  AdapterKind kind;
  // "all_linear", or ends of module names (q_proj, mlp.down_proj), whole ones, or regular expressions over whole ones.
  std::vector<std::string> targets = {"all_linear"};
  bool pass_over_targets = false;  // A target that no layer has is no error where another one has a layer.
  at::ScalarType compute = at::kFloat;     // Dtype of the adapter's products.
  at::ScalarType cast_dtype = at::kFloat;  // What A and B are rounded to when they are used.
  uint64_t seed = 0;                       // Seed of A's first values.
};

// What an adapter calls a module that a model's files call `stored`: image models store their text part under names that
// transformers has had until 4.51, and adapters have today's.
std::string AdapterModule(std::string_view stored);

// A linear layer that can have an adapter.
struct LinearModule {
  std::string name;  // Whole, as adapters have it: model.layers.0.self_attn.q_proj.
  int64_t inputs = 0, outputs = 0;
  int unit = 0;  // As in plan::TrainedTensor.
};

// "base_model.model.<module>.lora_A.weight" (or lora_B): how PEFT names adapter tensors.
std::string AdapterName(const std::string& module, char which);
// "base_model.model.<module>.lora_magnitude_vector", of DoRA.
std::string MagnitudeName(const std::string& module);
// "base_model.model.<module>.weight" or bias: of what a model's files call `stored`, trained whole beside an adapter.
std::string SavedName(std::string_view stored);

// INVALID_ARGUMENT names a target that none of the modules has, or a rank or dropout out of range.
Status CheckAdapterOptions(const AdapterOptions& options, const std::vector<LinearModule>& modules);

// Targets that no layer has, beside some that have one; empty unless pass_over_targets.
std::vector<std::string> PassedOver(const AdapterOptions& options, const std::vector<LinearModule>& modules);

bool IsTarget(const AdapterOptions& options, const std::string& module);

// A [rank, inputs] and B [outputs, rank], and with DoRA the magnitudes [outputs].
std::vector<plan::TrainedTensor> AdapterTensors(const AdapterOptions& options, const LinearModule& module);

// The adapter over the store's tensors, with first values: A uniform in +-1/sqrt(inputs), B zero, as PEFT does. A's numbers are a
// function of seed, name and index only. DoRA's magnitudes are the lengths of the weight's rows. REQUIRES: a store that has the
// module's AdapterTensors.
ops::LoraSlots MakeAdapter(const AdapterOptions& options, const LinearModule& module,
                           const ops::WeightSlot& weight, ParameterStore& store);

}  // namespace ft::params
