// Records of .parquet files, as data sets on hubs are kept: a row is a record, a column a field; lists, maps and records within are
// what they would be in JSON. Nulls are null.
//
// Read: plain, dictionary, run-length, delta and byte-split values; pages of both versions, packed with snappy, gzip or zstd; lists
// in all the ways in which the format writes them. A column of a kind that is not read, or whose value is no text, is an error only
// where it is used (FieldKind::kError).
//
// Memory: a page and a dictionary a column (each at most 256 MiB unpacked, all together 1 GiB) and one record (16 MiB, a million
// values). A file gives at most 1,000 times its own bytes, or 1 GiB where that is more.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/data/readers/parquet_column.h"
#include "worker/data/readers/record.h"

namespace ft::data {

class ParquetReader : public RecordReader {
 public:
  // INVALID_ARGUMENT for what is no whole parquet file.
  static StatusOr<std::unique_ptr<ParquetReader>> Open(const std::filesystem::path& path);
  StatusOr<std::optional<Record>> Next() override;
  const std::vector<std::string>& columns() const override { return columns_; }
  std::vector<std::string> notes() const override { return {}; }

 private:
  ParquetReader(RandomAccessFile file, ParquetFooter footer, ParquetSchema schema);
  StatusOr<bool> BeginRow();  // False after the last.
  Status BeginGroup(const ParquetGroup& group);
  Status EndGroup() const;
  // One value of the node, whose entries begin with this repetition level.
  Status Read(const ParquetNode& node, int repetition, nlohmann::ordered_json* value, Field* field);
  Status ReadStruct(const ParquetNode& node, int repetition, nlohmann::ordered_json* value, Field* field);
  Status ReadItems(const ParquetNode& node, int repetition, nlohmann::ordered_json* value, Field* field);
  Status ReadPair(const ParquetNode& node, int repetition, nlohmann::ordered_json* value, Field* field);
  Status ReadField(const ParquetNode& node, Field* field);
  struct Levels {
    int repetition, below;
  };
  // Takes one entry of every leaf below the node, all of that repetition and of a definition below the level.
  Status PassOver(const ParquetNode& node, const Levels& levels);
  // Whether the entry that stands in the column is one of that repetition.
  Status Expect(const ParquetColumn& column, int repetition) const;
  Status DoesNotFit(const ParquetColumn& column) const;
  Status Count(uint64_t bytes);
  Status RefuseRow(std::string_view why) const;

  RandomAccessFile file_;
  ParquetFooter footer_;
  ParquetSchema schema_;
  std::vector<std::string> columns_;  // Stays empty: records name their fields themselves.
  ParquetMemory memory_;
  std::vector<std::unique_ptr<ParquetColumn>> leaves_;  // As of schema_; null where a column is not read.
  size_t next_group_ = 0;
  int64_t rows_left_ = 0;  // Of the group.
  int64_t row_ = 0;        // The one that is read, from 1.
  uint64_t row_values_ = 0, row_bytes_ = 0, given_ = 0;
};

}  // namespace ft::data
