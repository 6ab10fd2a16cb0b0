#include "worker/model/weights/stored_zip.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ft::weights {
namespace {

constexpr size_t kEndBytes = 22;
constexpr size_t kEnd64Bytes = 56;
constexpr size_t kLocator64Bytes = 20;
constexpr size_t kDirectoryEntryBytes = 46;
constexpr size_t kLocalHeaderBytes = 30;
constexpr size_t kMaxCommentBytes = 65535;
constexpr uint64_t kMaxDirectoryBytes = 64 << 20;
constexpr uint32_t kSaturated32 = 0xffffffff;
constexpr uint16_t kZip64ExtraId = 1;
constexpr uint16_t kEncryptedFlag = 1;

template <typename T>
T At(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));  // Callers have checked the length.
  return value;
}

StatusOr<std::string> ReadPart(const RandomAccessFile& file, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  RETURN_IF_ERROR(file.ReadAt(offset, std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

Status Broken(std::string_view why) {
  return absl::InvalidArgumentError(StrCat("not a whole zip archive: ", why, "; fetch the file again"));
}

// Replaces the saturated ones of the three values, in the order in which the zip64 extra field lists them.
Status ApplyZip64(std::string_view extra, uint64_t* size, uint64_t* stored_size, uint64_t* header_offset) {
  while (extra.size() >= 4) {
    const uint16_t id = At<uint16_t>(extra, 0);
    const uint16_t length = At<uint16_t>(extra, 2);
    if (length > extra.size() - 4) return Broken("an extra field is longer than its room");
    std::string_view field = extra.substr(4, length);
    extra.remove_prefix(4 + size_t{length});
    if (id != kZip64ExtraId) continue;
    for (uint64_t* value : {size, stored_size, header_offset}) {
      if (*value != kSaturated32) continue;
      if (field.size() < sizeof(uint64_t)) return Broken("a zip64 field is too short");
      *value = At<uint64_t>(field, 0);
      field.remove_prefix(sizeof(uint64_t));
    }
  }
  return absl::OkStatus();
}

}  // namespace

StatusOr<StoredZip> StoredZip::Open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(RandomAccessFile file, RandomAccessFile::Open(path));
  StoredZip zip(std::move(file));
  StatusOr<Directory> directory = zip.FindDirectory();
  RETURN_IF_ERROR(WithContext(directory.status(), path.string()));
  RETURN_IF_ERROR(WithContext(zip.ReadDirectory(*directory), path.string()));
  return zip;
}

StatusOr<StoredZip::Directory> StoredZip::FindDirectory() const {
  const auto tail_bytes = static_cast<size_t>(std::min<uint64_t>(file_.size(), kEndBytes + kMaxCommentBytes));
  if (tail_bytes < kEndBytes) return Broken("it is too short");
  const uint64_t tail_offset = file_.size() - tail_bytes;
  ASSIGN_OR_RETURN(const std::string tail, ReadPart(file_, tail_offset, tail_bytes));
  for (size_t at = tail_bytes - kEndBytes + 1; at-- > 0;) {
    const std::string_view end = std::string_view(tail).substr(at);
    if (!end.starts_with("PK\5\6") || kEndBytes + At<uint16_t>(end, 20) != end.size()) continue;
    const Directory directory{At<uint16_t>(end, 10), At<uint32_t>(end, 12), At<uint32_t>(end, 16)};
    const uint64_t end_offset = tail_offset + at;
    const bool saturated =
        directory.entries == 0xffff || directory.size == kSaturated32 || directory.offset == kSaturated32;
    if (saturated) return FindDirectory64(end_offset);
    if (directory.offset > end_offset || directory.size > end_offset - directory.offset) {
      return Broken("its directory does not lie within the file");
    }
    return directory;
  }
  return Broken("its end is missing");
}

StatusOr<StoredZip::Directory> StoredZip::FindDirectory64(uint64_t end_offset) const {
  if (end_offset < kLocator64Bytes) return Broken("its zip64 end is missing");
  ASSIGN_OR_RETURN(const std::string locator, ReadPart(file_, end_offset - kLocator64Bytes, kLocator64Bytes));
  if (!locator.starts_with("PK\6\7")) return Broken("its zip64 end is missing");
  const uint64_t end64_offset = At<uint64_t>(locator, 8);
  if (end64_offset > end_offset || end_offset - end64_offset < kEnd64Bytes) {
    return Broken("its zip64 end is misplaced");
  }
  ASSIGN_OR_RETURN(const std::string end64, ReadPart(file_, end64_offset, kEnd64Bytes));
  if (!end64.starts_with("PK\6\6")) return Broken("its zip64 end is misplaced");
  const Directory directory{At<uint64_t>(end64, 32), At<uint64_t>(end64, 40), At<uint64_t>(end64, 48)};
  if (directory.offset > end64_offset || directory.size > end64_offset - directory.offset) {
    return Broken("its directory does not lie within the file");
  }
  return directory;
}

Status StoredZip::ReadDirectory(const Directory& directory) {
  if (directory.size > kMaxDirectoryBytes) {
    return Broken(StrCat("its directory would have ", directory.size, " bytes"));
  }
  if (directory.entries > directory.size / kDirectoryEntryBytes) return Broken("its directory is too short");
  data_end_ = directory.offset;
  ASSIGN_OR_RETURN(const std::string bytes,
                   ReadPart(file_, directory.offset, static_cast<size_t>(directory.size)));
  std::string_view rest = bytes;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    if (rest.size() < kDirectoryEntryBytes || !rest.starts_with("PK\1\2")) {
      return Broken("its directory is damaged");
    }
    const size_t name_bytes = At<uint16_t>(rest, 28);
    const size_t extra_bytes = At<uint16_t>(rest, 30);
    const size_t comment_bytes = At<uint16_t>(rest, 32);
    Entry entry;
    entry.flags = At<uint16_t>(rest, 8);
    entry.method = At<uint16_t>(rest, 10);
    entry.stored_size = At<uint32_t>(rest, 20);
    entry.size = At<uint32_t>(rest, 24);
    entry.header_offset = At<uint32_t>(rest, 42);
    rest.remove_prefix(kDirectoryEntryBytes);
    if (name_bytes + extra_bytes + comment_bytes > rest.size()) return Broken("its directory is damaged");
    const std::string name(rest.substr(0, name_bytes));
    RETURN_IF_ERROR(ApplyZip64(rest.substr(name_bytes, extra_bytes), &entry.size, &entry.stored_size,
                               &entry.header_offset));
    rest.remove_prefix(name_bytes + extra_bytes + comment_bytes);
    if (!entries_.emplace(name, entry).second) return Broken(StrCat("the entry '", name, "' is there twice"));
  }
  return absl::OkStatus();
}

StatusOr<std::string> StoredZip::FindInFolder(std::string_view base) const {
  std::string found;
  for (const auto& [name, entry] : entries_) {
    const size_t slash = name.find('/');
    if (slash == std::string::npos || std::string_view(name).substr(slash + 1) != base) continue;
    if (!found.empty()) {
      return absl::InvalidArgumentError(StrCat("the archive has both ", found, " and ", name));
    }
    found = name;
  }
  if (found.empty()) return absl::InvalidArgumentError(StrCat("the archive has no ", base));
  return found;
}

StatusOr<StoredZip::StoredRange> StoredZip::Locate(std::string_view name) const {
  const auto broken = [&](std::string_view why) {
    return absl::InvalidArgumentError(StrCat("the entry '", name, "' ", why));
  };
  const auto found = entries_.find(name);
  if (found == entries_.end()) return broken("is missing");
  const Entry& entry = found->second;
  if ((entry.flags & kEncryptedFlag) != 0) return broken("is encrypted");
  if (entry.method != 0 || entry.stored_size != entry.size) {
    return broken("is compressed, which PyTorch never does");
  }
  if (entry.header_offset > data_end_ || data_end_ - entry.header_offset < kLocalHeaderBytes) {
    return broken("lies outside the file");
  }
  ASSIGN_OR_RETURN(const std::string header, ReadPart(file_, entry.header_offset, kLocalHeaderBytes));
  if (!header.starts_with("PK\3\4")) return broken("has no header where the directory says");
  const uint64_t offset =
      entry.header_offset + kLocalHeaderBytes + At<uint16_t>(header, 26) + At<uint16_t>(header, 28);
  if (offset > data_end_ || entry.size > data_end_ - offset) return broken("reaches past the archive's data");
  return StoredRange{offset, entry.size};
}

StatusOr<std::string> StoredZip::Read(std::string_view name, uint64_t max_bytes) const {
  ASSIGN_OR_RETURN(const StoredRange range, Locate(name));
  if (range.size > max_bytes) {
    return absl::InvalidArgumentError(
        StrCat("the entry '", name, "' has ", range.size, " bytes, more than the ", max_bytes, " allowed"));
  }
  return ReadPart(file_, range.offset, static_cast<size_t>(range.size));
}

}  // namespace ft::weights
