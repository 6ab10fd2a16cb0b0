// The case chat_templates: conversations as the templates of real models write them.
#pragma once

#include <filesystem>
#include <vector>

#include "core/base/status.h"
#include "tests/golden/case_result.h"

namespace ft::golden {

// How many texts, marks and refusals are otherwise. INVALID_ARGUMENT when there is nothing to compare.
StatusOr<std::vector<Measure>> ChatTemplatesCase(const std::filesystem::path& folder);

}  // namespace ft::golden
