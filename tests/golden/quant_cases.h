// Quantisation cases: nf4 (codes, maxima, dequantised values, a 4-bit checkpoint) and qlora_step (five
// training steps).
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <vector>

#include "core/base/status.h"
#include "tests/golden/case_result.h"

namespace ft::golden {

StatusOr<std::vector<Measure>> Nf4Case(const std::filesystem::path& folder, at::Device device);
StatusOr<std::vector<Measure>> QloraStepCase(const std::filesystem::path& folder, at::Device device);

}  // namespace ft::golden
