// Records of one sheet of an .xlsx workbook (ECMA-376): the first row that is not empty names the columns,
// every later row that is not empty is a record. Values are text as the cell shows it: shared and inline
// strings with rich text joined, numbers and dates by their format, TRUE and FALSE, the stored result of a
// formula. A cell that shows an error, a formula without a result and a merged cell have kind kError. Parts
// unpack to at most 128 MiB; nothing outside the file is ever read.
//
// What the owner of the file does not see is not learnt: hidden sheets are never taken unless named, hidden
// rows are left out. Up to three rows of one cell above a row with several are titles. All of it is said in
// notes().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/data/readers/record.h"

namespace ft::data {

struct SheetRow;

class XlsxReader : public RecordReader {
 public:
  // `sheet` empty = the first that is not hidden. NOT_FOUND lists the sheets there are when none has that
  // name.
  static StatusOr<std::unique_ptr<XlsxReader>> Open(const std::filesystem::path& path,
                                                    const std::string& sheet);
  ~XlsxReader() override;
  StatusOr<std::optional<Record>> Next() override;
  const std::vector<std::string>& columns() const override { return columns_; }
  std::string table() const override;
  std::vector<std::string> notes() const override;

 private:
  struct Parts;
  explicit XlsxReader(std::unique_ptr<Parts> parts);
  Status TakeHeader();
  void SkipTitles();
  StatusOr<bool> NextRow(SheetRow* row);
  std::string OtherSheets() const;
  Status CheckBeyondHeader(const SheetRow& row) const;

  std::unique_ptr<Parts> parts_;
  int64_t index_ = 0;
  int64_t header_row_ = 0;
  std::string nameless_;                  // The first column that holds something and has no name.
  std::vector<std::string> columns_;      // As columns() gives them: the named ones in order.
  std::vector<std::string> all_columns_;  // By column number from 0; empty = without a name.
  std::vector<std::string> notes_;
};

}  // namespace ft::data
