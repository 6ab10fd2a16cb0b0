#include "worker/data/readers/xlsx_reader.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <utility>

#include "worker/data/readers/columns.h"
#include "worker/data/readers/xlsx_sheet.h"
#include "worker/data/readers/xlsx_workbook.h"

namespace ft::data {
namespace {

constexpr size_t kMostTitles = 3;

std::string ListSheets(const Workbook& workbook, const std::string& without = "") {
  std::string text;
  for (const SheetEntry& sheet : workbook.sheets) {
    if (sheet.name == without) continue;
    StrAppend(&text, text.empty() ? "" : ", ", sheet.name, sheet.hidden ? " (hidden)" : "");
  }
  return text;
}

StatusOr<SheetEntry> ChooseSheet(const Workbook& workbook, const std::string& wanted,
                                 const std::string& file) {
  if (workbook.sheets.empty()) return absl::InvalidArgumentError(StrCat(file, " has no sheet; add one"));
  const auto found = std::find_if(
      workbook.sheets.begin(), workbook.sheets.end(),
      [&](const SheetEntry& sheet) { return wanted.empty() ? !sheet.hidden : sheet.name == wanted; });
  if (found == workbook.sheets.end()) {
    if (wanted.empty()) {
      return absl::InvalidArgumentError(
          StrCat(file, " has only hidden sheets; name one with sheet:, of: ", ListSheets(workbook)));
    }
    return absl::NotFoundError(
        StrCat(file, " has no sheet \"", wanted, "\"; its sheets are: ", ListSheets(workbook)));
  }
  if (found->part.empty()) {
    return absl::InvalidArgumentError(
        StrCat(file, " sheet ", found->name,
               " is a chart and holds no rows; name another with sheet:, of: ", ListSheets(workbook)));
  }
  return *found;
}

size_t CountFilled(const SheetRow& row) {
  return static_cast<size_t>(std::count_if(row.cells.begin(), row.cells.end(), [](const SheetCell& cell) {
    return cell.kind != FieldKind::kError && !Trimmed(cell.text).empty();
  }));
}

}  // namespace

struct XlsxReader::Parts {
  Parts(std::string file_name, Workbook read, SheetEntry chosen)
      : file(std::move(file_name)),
        workbook(std::move(read)),
        entry(std::move(chosen)),
        rows(workbook, file, entry.name) {}
  std::string file;
  Workbook workbook;
  SheetEntry entry;
  SheetRows rows;
  std::deque<SheetRow> ahead;  // Rows that were looked at already.
};

XlsxReader::XlsxReader(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
XlsxReader::~XlsxReader() = default;

StatusOr<std::unique_ptr<XlsxReader>> XlsxReader::Open(const std::filesystem::path& path,
                                                       const std::string& sheet) {
  ASSIGN_OR_RETURN(const ZipPackage package, ZipPackage::Open(path));
  const std::string file = path.string();
  ASSIGN_OR_RETURN(Workbook workbook, ReadWorkbook(package, file));
  ASSIGN_OR_RETURN(SheetEntry entry, ChooseSheet(workbook, sheet, file));
  auto parts = std::make_unique<Parts>(file, std::move(workbook), std::move(entry));
  RETURN_IF_ERROR(parts->rows.Open(package, parts->entry.part));
  std::unique_ptr<XlsxReader> reader(new XlsxReader(std::move(parts)));
  RETURN_IF_ERROR(reader->TakeHeader());
  return reader;
}

StatusOr<bool> XlsxReader::NextRow(SheetRow* row) {
  if (parts_->ahead.empty()) return parts_->rows.Next(row);
  *row = std::move(parts_->ahead.front());
  parts_->ahead.pop_front();
  return true;
}

std::string XlsxReader::OtherSheets() const {
  return parts_->workbook.sheets.size() < 2 ? "" : ListSheets(parts_->workbook, parts_->entry.name);
}

// Rows of one cell each above one with several, which is the header when the row below it has several, too.
void XlsxReader::SkipTitles() {
  std::deque<SheetRow>& rows = parts_->ahead;
  size_t titles = 0;
  while (titles < rows.size() && CountFilled(rows[titles]) <= 1) ++titles;
  if (titles == 0 || titles > kMostTitles || titles == rows.size()) return;
  if (titles + 1 < rows.size() && CountFilled(rows[titles + 1]) <= 1) return;
  for (; titles > 0; --titles) {
    std::string text;
    for (const SheetCell& cell : rows[0].cells) {
      if (text.empty() && cell.kind != FieldKind::kError) text = Trimmed(cell.text);
    }
    notes_.push_back(StrCat(std::filesystem::path(parts_->file).filename().string(), ": row ", rows[0].number,
                            text.empty() ? "" : StrCat(" (", text, ")"),
                            " was taken as a title and left out"));
    rows.pop_front();
  }
}

Status XlsxReader::TakeHeader() {
  const std::string file = std::filesystem::path(parts_->file).filename().string();
  if (!OtherSheets().empty()) {
    notes_.push_back(StrCat(file, ": read sheet ", parts_->entry.name,
                            parts_->entry.hidden ? " (hidden)" : "", ", not: ", OtherSheets()));
  }
  while (parts_->ahead.size() < kMostTitles + 2) {
    SheetRow row;
    ASSIGN_OR_RETURN(const bool any, parts_->rows.Next(&row));
    if (!any) break;
    parts_->ahead.push_back(std::move(row));
  }
  SkipTitles();
  SheetRow header;
  ASSIGN_OR_RETURN(const bool any, NextRow(&header));
  if (!any) return absl::OkStatus();  // An empty sheet has no records.
  header_row_ = header.number;
  for (SheetCell& cell : header.cells) {
    all_columns_.resize(static_cast<size_t>(cell.column) + 1);
    if (cell.kind != FieldKind::kError) all_columns_.back() = std::move(cell.text);
  }
  RETURN_IF_ERROR(
      CheckColumns(StrCat(parts_->file, " sheet ", parts_->entry.name, " row ", header_row_), &all_columns_));
  std::string hidden;
  for (size_t i = 0; i < all_columns_.size(); ++i) {
    if (all_columns_[i].empty()) continue;
    columns_.push_back(all_columns_[i]);
    if (parts_->rows.IsHidden(static_cast<int64_t>(i)))
      StrAppend(&hidden, hidden.empty() ? "" : ", ", all_columns_[i]);
  }
  if (!hidden.empty()) notes_.push_back(StrCat(file, ": hidden columns are read like others: ", hidden));
  return absl::OkStatus();
}

Status XlsxReader::CheckBeyondHeader(const SheetRow& row) const {
  for (const SheetCell& cell : row.cells) {
    if (cell.column < static_cast<int64_t>(all_columns_.size()) || Trimmed(cell.text).empty()) continue;
    return absl::InvalidArgumentError(
        StrCat(parts_->file, " sheet ", parts_->entry.name, " row ", row.number, ": cell ",
               ColumnName(cell.column), row.number, " stands to the right of the header in row ", header_row_,
               ", which names ", all_columns_.size(), all_columns_.size() == 1 ? " column" : " columns",
               "; name the column there, or clear the cell"));
  }
  return absl::OkStatus();
}

StatusOr<std::optional<Record>> XlsxReader::Next() {
  SheetRow row;
  ASSIGN_OR_RETURN(const bool any, NextRow(&row));
  if (!any) return std::optional<Record>();
  const auto width = static_cast<int64_t>(all_columns_.size());
  RETURN_IF_ERROR(CheckBeyondHeader(row));
  RETURN_IF_ERROR(parts_->rows.MarkMerged(width, &row));
  Record record;
  record.origin = {.file = parts_->file, .sheet = parts_->entry.name, .row = row.number, .index = index_++};
  auto cell = row.cells.begin();
  for (size_t column = 0; column < all_columns_.size(); ++column) {
    while (cell != row.cells.end() && cell->column < static_cast<int64_t>(column)) ++cell;
    const bool there = cell != row.cells.end() && cell->column == static_cast<int64_t>(column);
    if (all_columns_[column].empty()) {
      if (there && nameless_.empty() && !Trimmed(cell->text).empty())
        nameless_ = ColumnName(static_cast<int64_t>(column));
      continue;
    }
    Field field;
    field.name = all_columns_[column];
    field.kind = FieldKind::kNull;
    if (there) {
      field.kind = cell->kind;
      field.text = std::move(cell->text);
    }
    record.fields.push_back(std::move(field));
  }
  return std::optional<Record>(std::move(record));
}

std::string XlsxReader::table() const {
  const std::string others = OtherSheets();
  return StrCat("row ", header_row_, " of sheet ", parts_->entry.name, " names them",
                others.empty() ? "" : StrCat("; to read another sheet write sheet: with one of: ", others));
}

std::vector<std::string> XlsxReader::notes() const {
  std::vector<std::string> notes = notes_;
  const std::string file = std::filesystem::path(parts_->file).filename().string();
  if (!nameless_.empty()) {
    notes.push_back(
        StrCat(file, ": column ", nameless_, " has no name in row ", header_row_, " and was not read"));
  }
  for (const std::string& note : parts_->rows.Notes()) notes.push_back(StrCat(file, ": ", note));
  return notes;
}

}  // namespace ft::data
