// What a parquet file says of itself (apache/parquet-format, parquet.thrift): its columns as a tree, its groups of rows, and what
// stands before each page. Only what reading needs. Numbers are as the file has them: whoever uses one as a size or a place
// checks it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/file.h"

namespace ft::data {

enum class ParquetType : int8_t {
  kNone = -1,  // Of a group.
  kBool = 0,
  kInt32 = 1,
  kInt64 = 2,
  kInt96 = 3,
  kFloat = 4,
  kDouble = 5,
  kBytes = 6,
  kFixed = 7  // Bytes of one length.
};

// What a column's values mean, whichever of the format's two ways says it.
enum class ParquetMeaning {
  kPlain,  // What the type says: a number, a truth value, bytes.
  kText,
  kUnsigned,
  kDecimal,
  kDate,
  kTime,
  kTimestamp,
  kUuid,
  kNull,
  kList,
  kMap,
  kOther  // Not read; `meaning_name` says what it is.
};

struct ParquetElement {
  std::string name;
  ParquetType type = ParquetType::kNone;
  ParquetMeaning meaning = ParquetMeaning::kPlain;
  std::string_view meaning_name;
  bool optional = false, repeated = false;
  int64_t length = 0;      // Of kFixed, in bytes.
  int64_t children = 0;    // The elements that follow, each with what lies below it.
  int64_t scale = 0;       // Of decimals: digits behind the point.
  int64_t per_second = 0;  // Of times: 1,000, 1,000,000 or 1,000,000,000.
};

// A column's part of a group of rows.
struct ParquetChunk {
  ParquetType type = ParquetType::kNone;
  int64_t codec = 0;
  int64_t values = 0;  // Entries with the nulls.
  int64_t bytes = 0;
  int64_t data_at = 0, dictionary_at = 0;  // 0 = there is none.
  bool elsewhere = false;                  // In another file, or encrypted.
};

struct ParquetGroup {
  int64_t rows = 0;
  std::vector<ParquetChunk> columns;
};

struct ParquetFooter {
  std::vector<ParquetElement> schema;  // The first is the root.
  std::vector<ParquetGroup> groups;
  uint64_t begin = 0;  // Where it stands: no page lies behind.
};

struct ParquetPage {
  enum class Kind { kData, kDictionary, kDataV2, kOther };
  Kind kind = Kind::kOther;
  int64_t size = 0;    // Unpacked.
  int64_t packed = 0;  // In the file.
  int64_t values = 0;
  int64_t encoding = 0;
  int64_t level_encoding = 3;                          // Of kData.
  int64_t definition_bytes = 0, repetition_bytes = 0;  // Of kDataV2.
  bool is_packed = true;                               // Of kDataV2: its values.
  size_t header_bytes = 0;
};

// INVALID_ARGUMENT, with the file's name: what is no whole parquet file, and what to do.
StatusOr<ParquetFooter> ReadParquetFooter(const RandomAccessFile& file);

// The header of the page that begins at `at`, looked for before `end`. Nothing when there is none.
StatusOr<std::optional<ParquetPage>> ReadParquetPage(const RandomAccessFile& file, uint64_t at, uint64_t end);

}  // namespace ft::data
