// A file that is not whole yet: its content at full length, and beside it which bytes of which range are there. Ranges may be
// filled by several threads at once and by one process after the other: what Save() noted was on the disk before it was noted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/hub/listing.h"

namespace ft::hub {

// Thread-safe; of one process at a time, which holds the file's lock.
class PartialFile {
 public:
  struct Piece {
    size_t index = 0;
    int64_t begin = 0;  // The first byte that is missing.
    int64_t end = 0;
  };

  // Goes on with what lies at `base`, if it is of this content; else starts anew. RESOURCE_EXHAUSTED: the disk has no room for it.
  static StatusOr<std::unique_ptr<PartialFile>> Open(const std::filesystem::path& base, const HubFile& file,
                                                     int64_t range_bytes);

  // A range that nobody fills now; nothing when there is none.
  std::optional<Piece> Claim();
  // Appends to a claimed range. REQUIRES: it fits.
  Status Append(Piece& piece, std::span<const std::byte> bytes);
  // The range begins anew.
  void Clear(Piece& piece);
  // The range is not filled any more by who claimed it.
  void Release(const Piece& piece);

  int64_t done() const;
  bool is_one_range() const { return done_.size() == 1; }
  bool is_whole() const { return done() == size_; }
  const std::filesystem::path& content() const { return content_; }

  // Makes what is there outlast this process.
  Status Save();
  // Gives the content its final name. REQUIRES: it is whole and its digest right.
  Status Finish(const std::filesystem::path& destination);
  // Nothing of it is left.
  void Discard();

  // How many bytes are noted to be there; for those who wait for another process. 0 when nothing is.
  static int64_t NotedBytes(const std::filesystem::path& base);

 private:
  PartialFile() = default;
  Status Load(const HubFile& file);
  int64_t EndOf(size_t index) const;

  std::filesystem::path content_, state_;
  std::string digest_;
  int64_t size_ = 0, range_bytes_ = 0;
  UniqueFd fd_;
  std::mutex saving_;          // One Save() at a time.
  mutable std::mutex mutex_;   // Guards done_ and claimed_.
  std::vector<int64_t> done_;  // Of each range, bytes from its beginning.
  std::vector<bool> claimed_;
};

}  // namespace ft::hub
