// Scores of given answers to MMLU against those that XTuner's metric gives.
#pragma once

#include <filesystem>
#include <vector>

#include "core/base/status.h"
#include "tests/golden/case_result.h"

namespace ft::golden {

// A folder with results.json.
StatusOr<std::vector<Measure>> MmluCase(const std::filesystem::path& folder);

}  // namespace ft::golden
