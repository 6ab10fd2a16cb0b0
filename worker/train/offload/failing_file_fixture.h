// Files of tests that fail, or move less than they are asked to.
#pragma once

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>

#include "core/base/check.h"
#include "worker/train/offload/tile_file.h"

namespace ft::offload {

// What goes wrong, and when: operations are counted from 1, 0 = never.
struct Fault {
  int64_t read = 0, write = 0;
  int error = 0;
  int64_t most_bytes = INT64_MAX;  // That one operation moves.
};

class FailingFile final : public TileFile {
 public:
  FailingFile(std::unique_ptr<TileFile> file, Fault fault) : file_(std::move(file)), fault_(fault) {}

  int64_t ReadAt(int64_t offset, std::span<std::byte> to) override {
    return ++reads_ == fault_.read ? -fault_.error : file_->ReadAt(offset, to.first(Most(to.size())));
  }
  int64_t WriteAt(int64_t offset, std::span<const std::byte> from) override {
    return ++writes_ == fault_.write ? -fault_.error : file_->WriteAt(offset, from.first(Most(from.size())));
  }
  const std::filesystem::path& folder() const override { return file_->folder(); }

 private:
  size_t Most(size_t bytes) const { return std::min(bytes, static_cast<size_t>(fault_.most_bytes)); }

  const std::unique_ptr<TileFile> file_;
  const Fault fault_;
  std::atomic<int64_t> reads_ = 0, writes_ = 0;
};

inline std::unique_ptr<TileFile> OpenFailing(const std::filesystem::path& folder, int64_t bytes,
                                             Fault fault) {
  StatusOr<OpenedTileFile> opened = OpenTileFile(folder, bytes);
  FT_CHECK(opened.ok()) << opened.status();
  return std::make_unique<FailingFile>(std::move(opened->file), fault);
}

}  // namespace ft::offload
