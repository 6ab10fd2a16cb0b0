// Sends a local file to a coordinator on another machine. Uploads are by content: what is there already is not sent
// again, and one that broke off goes on where it stopped.
#pragma once

#include <filesystem>
#include <string>

#include "client/connect/connection.h"

namespace ft::client {

inline constexpr uint64_t kMaxUploadBytes = uint64_t{1} << 30;

// What the job file says instead of the path: upload://<sha256>/<file name>. INVALID_ARGUMENT for an empty file or one
// that is too large; UNAVAILABLE when the coordinator went away three times without progress.
StatusOr<std::string> UploadFile(const Connection& connection, const std::filesystem::path& path);

}  // namespace ft::client
