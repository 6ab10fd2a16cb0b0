// Cuts a JSON file into its records without holding more than one of them: the elements of a top-level array,
// or values one after another (JSON Lines, whatever the file is called). Only the structure is looked at
// here; the text of a record still has to be parsed. Bounds: 16 MiB and 64 levels a record.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker/data/readers/text_stream.h"

namespace ft::data {

inline constexpr size_t kMaxRecordBytes = size_t{16} << 20;
inline constexpr int kMaxJsonDepth = 64;

struct JsonValue {
  std::string_view text;  // The text of one object, valid until the next call.
  int64_t line = 0;       // Where it begins, from 1,
  int64_t column = 0;     // in characters of the line, from 1.
  int64_t index = 0;      // Counts the records of the file from 0.
};

// One thread.
class JsonValues {
 public:
  explicit JsonValues(TextStream stream) : stream_(std::move(stream)) {}
  static StatusOr<JsonValues> Open(const std::filesystem::path& path);
  // Nothing at the end of the file. INVALID_ARGUMENT names file and line of what is not a record.
  StatusOr<std::optional<JsonValue>> Next();
  std::string note() const { return stream_.note(); }

 private:
  StatusOr<bool> More();       // Appends to buffer_.
  StatusOr<bool> SkipSpace();  // To the next byte that is not white space; false at the end of the file.
  StatusOr<bool> FindStart();  // To the next record's first byte; false when there is none.
  StatusOr<size_t> FindEnd();  // One past the record that begins at pos_.
  void Step();                 // Over the byte at pos_, which is no line break.
  Status RefuseValue() const;  // What stands at pos_ is no object.
  Status Error(int64_t line, std::string_view why) const;

  TextStream stream_;
  std::string buffer_;
  size_t pos_ = 0;
  int64_t line_ = 1;  // The line of pos_.
  int64_t column_ = 1;
  int64_t index_ = 0;
  bool started_ = false;
  bool in_array_ = false;
  bool ended_ = false;
};

}  // namespace ft::data
