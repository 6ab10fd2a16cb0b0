// The identity of a model on disk: one SHA-256 over its weight files and config.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/base/status.h"

namespace ft::weights {

// Called for every MiB or so that is read: reading a large model takes minutes, and whoever waits wants signs
// of life.
using ReadProgress = std::function<void()>;

// SHA-256 (hexadecimal) of a file.
StatusOr<std::string> FileDigest(const std::filesystem::path& path, const ReadProgress& progress = nullptr);

// SHA-256 (hexadecimal) over the sorted list of "name sha256" of config.json and every *.safetensors, *.bin and *.gguf
// file of a folder, or of the single file. A file's digest is kept in `cache_dir`/digests under (path, size, time of
// last change, inode), so an unchanged model is read once. NOT_FOUND when there are no weight files.
StatusOr<std::string> ModelDigest(const std::filesystem::path& model, const std::filesystem::path& cache_dir,
                                  const ReadProgress& progress = nullptr);

}  // namespace ft::weights
