// Model cases: logits, loss, gradients, LoRA, long inputs and greedy continuations.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/rank/golden.h"

namespace ft::rank {

// UNIMPLEMENTED for a family that this version does not have.
StatusOr<std::vector<Measure>> ModelCase(const std::filesystem::path& folder, const std::string& dtype);

}  // namespace ft::rank
