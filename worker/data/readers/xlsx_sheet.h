// The rows and cells of one sheet of a workbook, as a person sees them: hidden rows are left out and counted,
// a cell that cannot be read as text says why.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <pugixml.hpp>

#include "worker/data/readers/record.h"
#include "worker/data/readers/xlsx_workbook.h"

namespace ft::data {

inline constexpr int64_t kMaxSheetColumns = 16384;

// 27 is "AB": a column's letters by its number from 0.
std::string ColumnName(int64_t number);

struct SheetCell {
  int64_t column = 0;
  FieldKind kind = FieldKind::kNull;
  std::string text;  // For kError what is wrong.
};

struct SheetRow {
  int64_t number = 0;
  std::vector<SheetCell> cells;  // In order; those that are there.
};

// One thread.
class SheetRows {
 public:
  // `file` and `sheet` are for messages. The workbook has to outlive this.
  SheetRows(const Workbook& workbook, std::string file, std::string sheet)
      : workbook_(workbook), file_(std::move(file)), sheet_(std::move(sheet)) {}
  SheetRows(const SheetRows&) = delete;
  Status Open(const ZipPackage& package, const std::string& part);

  // The next row that holds something and is not hidden; false after the last.
  StatusOr<bool> Next(SheetRow* row);
  // Makes error cells of those inside merged ranges, in columns below `width`. Call it with rows in order.
  Status MarkMerged(int64_t width, SheetRow* row);
  // Whether the column is hidden.
  bool IsHidden(int64_t column) const;
  // Sentences about what was left out or shown otherwise, for people.
  std::vector<std::string> Notes() const;

 private:
  struct Range {
    int64_t first_row = 0, last_row = 0, first_column = 0, last_column = 0;
    std::string name;  // "A2:A4".
  };
  Status Error(std::string_view why) const;
  Status ReadMerged();
  void ReadHiddenColumns();
  Status ReadRow(const pugi::xml_node& node, SheetRow* row);
  Status ReadCell(const pugi::xml_node& node, SheetCell* cell);
  Status ReadNumber(const pugi::xml_node& node, const std::string& value, SheetCell* cell);
  void Format(const pugi::xml_node& node, double number, SheetCell* cell);

  const Workbook& workbook_;
  std::string file_, sheet_;
  pugi::xml_document document_;
  pugi::xml_node next_;          // The next row.
  int64_t row_number_ = 0;       // Number of the row read last.
  std::vector<Range> merged_;    // By first row.
  size_t merged_begun_ = 0;      // Merged ranges whose first row was reached.
  std::vector<Range> covering_;  // Those that may cover the row read last.
  std::vector<bool> hidden_columns_;
  int64_t hidden_rows_ = 0, plain_numbers_ = 0;
  std::string first_hidden_, first_plain_;  // "3"; "B5 (# ?/?)".
};

}  // namespace ft::data
