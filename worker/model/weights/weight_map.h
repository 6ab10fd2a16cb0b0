// The index file of a model in several files: {"metadata": {...}, "weight_map": {"tensor name": "file
// name"}}.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "core/base/status.h"

namespace ft::weights {

// Tensor name to file name. File names are plain names of the index's own folder: one with a path in it is
// refused. Errors are INVALID_ARGUMENT and name the index file.
StatusOr<std::map<std::string, std::string>> ReadWeightMap(const std::filesystem::path& index_file);

}  // namespace ft::weights
