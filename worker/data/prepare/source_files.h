// The files that a source on this machine stands for: a file is itself, a folder is a data set as it lies on a hub, of which the same
// files are taken as of the hub's (core/hub/wanted.h).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/recipe/job_spec.h"
#include "worker/data/prepare/paths.h"

namespace ft::prepare {

struct SourceFiles {
  std::vector<std::filesystem::path> files;
  std::string sentence;  // Of a folder: which of its files they are, for people; else empty.
};

// Errors as ResolveSource; INVALID_ARGUMENT too for a folder that holds no such part or no data, and for a part of a file.
StatusOr<SourceFiles> FilesOfSource(const recipe::DataSource& source, const SourceRoots& roots);

}  // namespace ft::prepare
