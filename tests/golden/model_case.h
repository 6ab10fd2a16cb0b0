// Model cases: logits, loss, gradients, LoRA, long inputs and greedy continuations.
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "tests/golden/case_result.h"

namespace ft::golden {

// UNIMPLEMENTED for a family that this version does not have.
// `skipped` gets what cannot be compared.
StatusOr<std::vector<Measure>> ModelCase(const std::filesystem::path& folder, const std::string& dtype,
                                         at::Device device, std::vector<std::string>& skipped);

}  // namespace ft::golden
