// Records of one sheet of an .xlsx workbook (ECMA-376): the first row that is not empty names the columns,
// every later row that is not empty is a record. Values are text as the cell shows it: shared and inline
// strings with rich text joined, numbers and dates by their format, TRUE and FALSE, the stored result of a
// formula. A cell that shows an error has kind kError. Merged cells in the sheet are refused. Parts unpack to
// at most 128 MiB; nothing outside the file is ever read.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/data/record.h"

namespace ft::data {

class XlsxReader : public RecordReader {
 public:
  // `sheet` empty = the first. NOT_FOUND lists the sheets there are when none has that name.
  static StatusOr<std::unique_ptr<XlsxReader>> Open(const std::filesystem::path& path,
                                                    const std::string& sheet);
  ~XlsxReader() override;
  StatusOr<std::optional<Record>> Next() override;
  const std::vector<std::string>& columns() const override { return columns_; }
  std::vector<std::string> notes() const override { return notes_; }

 private:
  struct Sheet;  // The parsed parts.
  explicit XlsxReader(std::unique_ptr<Sheet> sheet);
  Status TakeHeader();

  std::unique_ptr<Sheet> sheet_;
  int64_t index_ = 0;
  std::vector<std::string> columns_;      // As columns() gives them: the named ones in order.
  std::vector<std::string> all_columns_;  // By column number from 0; empty = without a name.
  std::vector<std::string> notes_;
};

}  // namespace ft::data
