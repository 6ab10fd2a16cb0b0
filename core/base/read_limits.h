// Below which folders this process may open files for reading. Everything that opens a file by a name from outside goes through
// OpenForReading, so that a name that was checked once and is exchanged for a link afterwards opens nothing.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "core/base/file.h"

namespace ft {

// From now on OpenForReading opens only what lies below one of the folders, links resolved. Folders that are not there are left
// out. REQUIRES: called at most once, before any other thread runs. UNIMPLEMENTED: this kernel has no openat2 (Linux 5.6).
Status LimitReading(const std::vector<std::filesystem::path>& folders);

// Whether a path lies below a folder or is it. Both are canonical: no link is resolved here.
bool IsBelow(const std::filesystem::path& path, const std::filesystem::path& folder);

// PERMISSION_DENIED: `what`, as a person named it, lies outside of what may be read, and what to do.
Status OutsideTheFolders(std::string_view what);

// The file, open for reading. PERMISSION_DENIED outside the folders, whether something is there or not.
StatusOr<UniqueFd> OpenForReading(const std::filesystem::path& path);

}  // namespace ft
