// The identity of a model on disk: one SHA-256 over its weight files and config.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/status.h"

namespace ft::weights {

// SHA-256 (hexadecimal) over the sorted list of "name sha256" of config.json and every *.safetensors, *.bin and *.gguf
// file of a folder, or of the single file. A file's digest is kept in `cache_dir`/digests under (path, size, time of
// last change, inode), so an unchanged model is read once. NOT_FOUND when there are no weight files.
StatusOr<std::string> ModelDigest(const std::filesystem::path& model, const std::filesystem::path& cache_dir);

}  // namespace ft::weights
