// The entries of one column in one group of rows of a parquet file, one after the other. Holds one page and the dictionary.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "worker/data/readers/parquet_encodings.h"
#include "worker/data/readers/parquet_footer.h"
#include "worker/data/readers/parquet_schema.h"

namespace ft::data {

// What the pages of all columns that are read together hold, so that their sum has a bound.
class ParquetMemory {
 public:
  // INVALID_ARGUMENT when it becomes more than 1 GiB.
  Status Hold(uint64_t bytes);
  void Release(uint64_t bytes) { held_ -= bytes; }

 private:
  uint64_t held_ = 0;
};

// One thread. Errors are INVALID_ARGUMENT and name the file, the column and what to do.
class ParquetColumn {
 public:
  // All three outlive it. `end` is where pages end.
  ParquetColumn(const RandomAccessFile& file, const ParquetLeaf& leaf, ParquetMemory& memory);
  ~ParquetColumn();
  ParquetColumn(const ParquetColumn&) = delete;
  ParquetColumn& operator=(const ParquetColumn&) = delete;

  // Begins the column's part of a group; pages lie before `end`.
  Status Begin(const ParquetChunk& chunk, uint64_t end);
  // Makes the next entry the one that stands here; none is left at the group's end.
  Status Advance();
  bool any() const { return any_; }
  // Of the entry that stands here. At the end, that of an entry that begins a record and holds nothing.
  int definition() const { return definition_; }
  int repetition() const { return repetition_; }
  bool has_value() const { return any_ && definition_ == leaf_.max_definition; }
  // REQUIRES: has_value().
  const ParquetValue& value() const { return value_; }
  const ParquetLeaf& leaf() const { return leaf_; }
  Status Damaged(std::string_view why) const;

 private:
  StatusOr<bool> NextPage();  // A data page with entries; false at the end.
  Status TakeDictionary(const ParquetPage& page, std::string packed);
  Status TakeData(const ParquetPage& page, std::string packed);
  Status TakeDataV2(const ParquetPage& page, std::string packed);
  Status TakeLevels(const ParquetPage& page, std::string_view* bytes);
  Status BeginValues(const ParquetPage& page, std::string_view bytes);
  StatusOr<std::string> Unpack(std::string packed, int64_t size) const;
  Status Keep(std::string page);
  void Drop();

  const RandomAccessFile& file_;
  const ParquetLeaf& leaf_;
  ParquetMemory& memory_;
  ParquetChunk chunk_;
  uint64_t pos_ = 0, end_ = 0;
  int64_t entries_left_ = 0;  // Of the group, in pages that follow.
  int64_t page_left_ = 0;     // Of the page.
  std::string page_, levels_;
  std::unique_ptr<ParquetDictionary> dictionary_;
  uint64_t held_ = 0;
  ParquetRuns definitions_, repetitions_;
  std::unique_ptr<ParquetDecoder> values_;
  bool any_ = false;
  int definition_ = 0, repetition_ = 0;
  ParquetValue value_;
};

}  // namespace ft::data
