// Which files a job may read: a source of the job file becomes a path inside the folders that are allowed, or
// is refused with what to do.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "core/base/status.h"

namespace ft::prepare {

struct SourceRoots {
  std::vector<std::filesystem::path>
      allowed;                 // Nothing outside these is read; {"/"} allows every local path.
  std::filesystem::path base;  // Relative sources are taken from here; empty = they are refused.
};

// The canonical path of an existing file or folder. INVALID_ARGUMENT: hf:// or modelscope://, upload://
// (the coordinator puts paths in their place), a `..`; PERMISSION_DENIED: outside the roots, also through a symbolic link; NOT_FOUND: nothing
// there. All name the source.
StatusOr<std::filesystem::path> ResolveSource(std::string_view source, const SourceRoots& roots);

}  // namespace ft::prepare
