// Which quantised weights are read, and the sentence for those that are not. Read are GGUF's plain block
// types and bitsandbytes' 4-bit weights; GPTQ, AWQ, FP8 and the others are refused by name, whether
// config.json says so or only the tensors' names do.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/model/weights/tensor_source.h"

namespace ft::weights {

// UNIMPLEMENTED names `file`, the key of config.json, the method and what to take instead.
Status CheckQuantization(const nlohmann::json& config, std::string_view file);

// How a tensor that is no plain weight is packed, judged by its name and type: "GPTQ or AWQ", "bitsandbytes
// 8-bit", "compressed-tensors", "MLX"; empty when it is of no packing known here.
std::string_view PackingOf(const TensorInfo& info);

// The same of what stands in the place of `weight` (a name that ends in ".weight") where it is missing or no
// float.
std::string_view PackingOfWeight(const TensorSource& source, std::string_view weight);

// "; take the model in BF16 or F16 ...", for the end of a refusal.
std::string_view TakeUnquantised();

}  // namespace ft::weights
