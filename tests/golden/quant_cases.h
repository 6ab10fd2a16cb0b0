// Quantisation cases: nf4 (codes, maxima, dequantised values, a 4-bit checkpoint), int8 (codes, maxima, a product), mxfp4 (values), adamw8bit (three steps of
// bitsandbytes' optimizers) and qlora_step (five training steps).
#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <vector>

#include "core/base/status.h"
#include "tests/golden/case_result.h"

namespace ft::golden {

StatusOr<std::vector<Measure>> Nf4Case(const std::filesystem::path& folder, at::Device device);
StatusOr<std::vector<Measure>> Int8Case(const std::filesystem::path& folder, at::Device device);
// Experts in MXFP4, exactly.
StatusOr<std::vector<Measure>> Mxfp4Case(const std::filesystem::path& folder);
StatusOr<std::vector<Measure>> AdamW8bitCase(const std::filesystem::path& folder, at::Device device);
StatusOr<std::vector<Measure>> QloraStepCase(const std::filesystem::path& folder, at::Device device);

}  // namespace ft::golden
