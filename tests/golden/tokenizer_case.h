// The tokenizer case: strings.json, and a folder a vocabulary with what the original made of each string.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "tests/golden/case_result.h"

namespace ft::golden {

// A measure a vocabulary: how many strings differ. `skipped` gets the vocabularies whose file is not here, and those of kinds
// that are not read.
StatusOr<std::vector<Measure>> TokenizerCase(const std::filesystem::path& folder,
                                             std::vector<std::string>& skipped);

}  // namespace ft::golden
