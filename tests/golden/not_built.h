// The list of cases that this version does not pass yet, such as those of families that are not built: not_built.txt.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::golden {

// One line: a glob over names of cases, and what is missing.
struct NotBuilt {
  std::string glob;
  std::string reason;
  int line = 0;
};

// Lines are "GLOB REASON"; empty ones and those that begin with # say nothing. INVALID_ARGUMENT names a line without a
// reason.
StatusOr<std::vector<NotBuilt>> ReadNotBuilt(const std::filesystem::path& file);

// The first line whose glob matches, or null.
const NotBuilt* Find(const std::vector<NotBuilt>& list, const std::string& name);

}  // namespace ft::golden
