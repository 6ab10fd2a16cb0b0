// Room on the disk.
#pragma once

#include <cstdint>
#include <filesystem>

#include "core/base/status.h"

namespace ft {

// Bytes that a process without special rights may still write to the folder's file system.
StatusOr<uint64_t> FreeBytes(const std::filesystem::path& folder);

}  // namespace ft
