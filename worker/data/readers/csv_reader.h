// Records of .csv and .tsv files by RFC 4180: a header row, fields in quotes may hold delimiters, line breaks
// (read as \n, however they are written) and doubled quotes. Blanks before an opening quote and after a
// closing one do not count. The delimiter (comma, semicolon or tab) is the one that stands most often in the
// header row outside quotes, or the one that Excel's line `sep=;` in front names. Bounds: 1 MiB a field,
// 1,024 columns.
#pragma once

#include <string>
#include <vector>

#include "worker/data/readers/record.h"
#include "worker/data/readers/text_stream.h"

namespace ft::data {

class CsvReader : public RecordReader {
 public:
  // Reads the header row. INVALID_ARGUMENT for an empty, doubled or overlong header.
  static StatusOr<std::unique_ptr<CsvReader>> Open(const std::filesystem::path& path);
  StatusOr<std::optional<Record>> Next() override;
  const std::vector<std::string>& columns() const override { return columns_; }
  std::string table() const override { return StrCat("line ", header_line_, " names them"); }
  std::vector<std::string> notes() const override;

 private:
  explicit CsvReader(TextStream stream) : stream_(std::move(stream)) {}
  // The next row that is not blank; false at the end of the file. Sets row_line_.
  StatusOr<bool> NextRow(std::vector<std::string>* fields);
  StatusOr<bool> ReadRow(std::vector<std::string>* fields);
  StatusOr<std::string> ReadField();      // Stops before the delimiter, line break or end that follows.
  Status ReadQuoted(std::string* field);  // After the opening quote, past the closing one.
  bool IsBlank(char c) const { return c == ' ' || (c == '\t' && delimiter_ != '\t'); }
  StatusOr<bool> Skip(char* c, std::string* skipped);  // Blanks; then as Peek.
  StatusOr<bool> Peek(char* c);                        // False at the end of the file.
  Status TakeHeader();
  Status GuessDelimiter();
  bool TakeSeparatorLine();  // `sep=;`.
  Status RefuseWidth(size_t fields) const;
  Status Error(int64_t line, std::string_view why) const;

  TextStream stream_;
  std::string buffer_;
  size_t pos_ = 0;
  char delimiter_ = ',';
  int64_t line_ = 1;      // The line of pos_.
  int64_t row_line_ = 1;  // On which the row read last begins.
  int64_t header_line_ = 0;
  int64_t index_ = 0;
  bool separator_named_ = false;
  std::string nameless_;  // Number of the first column that holds something and has no name.
  std::vector<std::string> columns_;
};

}  // namespace ft::data
