// What a tier on disk asks of a file: the interface at which tests make reads and writes fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/base/status.h"

namespace ft::offload {

// Any thread.
class TileFile {
 public:
  virtual ~TileFile() = default;
  // As pread and pwrite: bytes that were moved, or the negative errno. Offsets, lengths and addresses are multiples of plan::kTileAlignment.
  virtual int64_t ReadAt(int64_t offset, std::span<std::byte> to) = 0;
  virtual int64_t WriteAt(int64_t offset, std::span<const std::byte> from) = 0;
  // The folder that it is in.
  virtual const std::filesystem::path& folder() const = 0;
};

struct OpenedTileFile {
  std::unique_ptr<TileFile> file;
  std::string remark;  // What a person should know: a sentence, or nothing.
};

// A file of `bytes` zeros without a name in the folder, so that nothing is left of it however this process ends. Its blocks are taken at
// once. It goes past the page cache where the file system lets it. NOT_FOUND, INVALID_ARGUMENT and PERMISSION_DENIED name the folder;
// RESOURCE_EXHAUSTED says that `what` needs them, and what is free.
StatusOr<OpenedTileFile> OpenTileFile(const std::filesystem::path& folder, int64_t bytes,
                                      std::string_view what = "the optimizer's state");

}  // namespace ft::offload
