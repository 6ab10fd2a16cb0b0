// How the spool writes and makes durable.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string_view>

#include "core/base/status.h"

namespace ft::spool {

// Makes what was written to the open file durable; tests give their own.
using SyncFile = std::function<Status(int fd, const std::filesystem::path& path)>;

// All of it or an error; then a part may be there.
Status WriteAt(int fd, std::string_view bytes, uint64_t offset, const std::filesystem::path& path);

// fdatasync.
Status SyncData(int fd, const std::filesystem::path& path);

// What was not synced may be gone from the page cache too, so a second try would acknowledge what is lost:
// the process ends, and what was not acknowledged is sent again.
void DieUnless(const Status& synced);

}  // namespace ft::spool
