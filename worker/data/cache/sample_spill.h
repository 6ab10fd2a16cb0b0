// Samples that may be too many for memory: their ids and loss marks lie one behind the other in a file without a name, which is gone
// with the process, and memory keeps where each begins (16 bytes a sample). What is little stays in memory and touches no disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/base/file.h"

namespace ft::data {

// One thread.
class SampleSpill {
 public:
  static constexpr size_t kMemoryBytes = size_t{16} << 20;
  // The file is made in `dir` (empty = the system's folder for temporary files) once more than `memory_bytes` are held.
  explicit SampleSpill(std::filesystem::path dir = {}, size_t memory_bytes = kMemoryBytes)
      : dir_(std::move(dir)), memory_bytes_(memory_bytes) {}

  // A further sample; its index is samples() before. REQUIRES: equally long. Where the disk refuses it, status() says so from then on.
  void Add(std::span<const int32_t> ids, std::span<const uint8_t> loss_mask);
  // RESOURCE_EXHAUSTED when the disk is full. No sample may be read then.
  const Status& status() const { return status_; }

  int64_t samples() const { return static_cast<int64_t>(places_.size()); }
  int64_t length(int64_t index) const { return places_[static_cast<size_t>(index)].length; }
  // As SupervisedTokens (token_cache.h) counts.
  int64_t supervised(int64_t index) const { return places_[static_cast<size_t>(index)].supervised; }
  Status ReadIds(int64_t index, std::vector<int32_t>* ids) const;
  Status ReadLossMask(int64_t index, std::vector<uint8_t>* loss_mask) const;
  bool in_memory() const { return !file_.valid(); }

 private:
  struct Place {
    uint64_t begin = 0;  // In bytes: the ids, then the loss marks.
    uint32_t length = 0, supervised = 0;
  };
  Status Flush();
  Status MakeFile();
  Status ReadBytes(uint64_t begin, std::span<std::byte> out) const;

  std::filesystem::path dir_;
  size_t memory_bytes_;
  Status status_;
  UniqueFd file_;
  uint64_t in_file_ = 0;
  std::string buffer_;  // What follows the file's content.
  std::vector<Place> places_;
};

}  // namespace ft::data
