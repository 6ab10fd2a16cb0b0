#include "worker/data/xlsx_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <utility>

#include "worker/data/columns.h"
#include "worker/data/xlsx_workbook.h"

namespace ft::data {
namespace {

constexpr int64_t kMaxRows = 1048576;
constexpr int64_t kMaxColumns = 16384;

// "AB" is 27: the number of a column from 0, or -1.
int64_t ColumnNumber(std::string_view reference) {
  int64_t number = 0;
  size_t letters = 0;
  for (; letters < reference.size() && reference[letters] >= 'A' && reference[letters] <= 'Z'; ++letters) {
    number = number * 26 + (reference[letters] - 'A' + 1);
    if (number > kMaxColumns) return -1;
  }
  return letters == 0 ? -1 : number - 1;
}

std::string ColumnName(int64_t number) {
  std::string name;
  for (int64_t n = number + 1; n > 0; n = (n - 1) / 26)
    name.insert(name.begin(), static_cast<char>('A' + (n - 1) % 26));
  return name;
}

std::string ListSheets(const Workbook& workbook) {
  std::string text;
  for (const SheetEntry& sheet : workbook.sheets) StrAppend(&text, text.empty() ? "" : ", ", sheet.name);
  return text;
}

StatusOr<SheetEntry> ChooseSheet(const Workbook& workbook, const std::string& wanted,
                                 const std::string& file) {
  if (workbook.sheets.empty()) return absl::InvalidArgumentError(StrCat(file, " has no sheet; add one"));
  const auto found = wanted.empty()
                         ? workbook.sheets.begin()
                         : std::find_if(workbook.sheets.begin(), workbook.sheets.end(),
                                        [&](const SheetEntry& sheet) { return sheet.name == wanted; });
  if (found == workbook.sheets.end()) {
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

}  // namespace

struct XlsxReader::Sheet {
  std::string file;
  SheetEntry entry;
  Workbook workbook;
  pugi::xml_document document;
  pugi::xml_node row;      // The next one.
  int64_t row_number = 0;  // Of the row read last.

  struct Cell {
    int64_t column = 0;
    FieldKind kind = FieldKind::kNull;
    std::string text;
  };

  Status Error(std::string_view why) const {
    return absl::InvalidArgumentError(StrCat(file, " sheet ", entry.name, " row ", row_number, ": ", why));
  }
  Status RefuseMergedCells() const;
  // The cells of the next row that is not empty; false after the last.
  StatusOr<bool> NextRow(std::vector<Cell>* cells);
  Status ReadCell(const pugi::xml_node& node, Cell* cell) const;
  Status ReadNumber(const pugi::xml_node& node, const std::string& value, Cell* cell) const;
};

Status XlsxReader::Sheet::RefuseMergedCells() const {
  const pugi::xml_node merged = Child(Child(Child(document, "worksheet"), "mergeCells"), "mergeCell");
  if (!merged) return absl::OkStatus();
  return absl::InvalidArgumentError(
      StrCat(file, " sheet ", entry.name, " has merged cells at ", merged.attribute("ref").value(),
             "; unmerge them and fill in every row, since a merged value belongs to one"));
}

Status XlsxReader::Sheet::ReadNumber(const pugi::xml_node& node, const std::string& value, Cell* cell) const {
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || !std::isfinite(number)) {
    return Error(StrCat("cell ", ColumnName(cell->column), row_number, " holds \"", value,
                        "\" where a number belongs"));
  }
  const auto style = static_cast<size_t>(node.attribute("s").as_uint());
  const std::string_view code = style < workbook.formats.size() ? std::string_view(workbook.formats[style])
                                                                : std::string_view("General");
  cell->kind = FieldKind::kNumber;
  cell->text = FormatNumber(number, code, workbook.dates);
  return absl::OkStatus();
}

Status XlsxReader::Sheet::ReadCell(const pugi::xml_node& node, Cell* cell) const {
  const std::string_view type = node.attribute("t").value();
  const pugi::xml_node value_node = Child(node, "v");
  const std::string value = InnerText(value_node);
  cell->kind = FieldKind::kText;
  if (type == "inlineStr") {
    cell->text = StringItem(Child(node, "is"));
  } else if (!value_node) {
    cell->kind = Child(node, "f") ? FieldKind::kError : FieldKind::kNull;
    if (cell->kind == FieldKind::kError) {
      cell->text = "a formula without a stored result; open the file in a spreadsheet program and save it";
    }
  } else if (type == "s") {
    size_t index = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), index);
    if (error != std::errc() || end != value.data() + value.size() ||
        index >= workbook.shared_strings.size()) {
      return Error(StrCat("cell ", ColumnName(cell->column), row_number, " points at shared string ", value,
                          " of ", workbook.shared_strings.size(), "; save or copy the file again"));
    }
    cell->text = workbook.shared_strings[index];
  } else if (type == "b") {
    cell->kind = FieldKind::kBool;
    cell->text = value == "1" || value == "true" ? "TRUE" : "FALSE";
  } else if (type == "e") {
    cell->kind = FieldKind::kError;
    cell->text = StrCat("the error ", value);
  } else if (type.empty() || type == "n") {
    return value.empty() ? absl::OkStatus() : ReadNumber(node, value, cell);
  } else {
    cell->text = value;  // str: a formula's text; d: an ISO 8601 date.
  }
  return absl::OkStatus();
}

StatusOr<bool> XlsxReader::Sheet::NextRow(std::vector<Cell>* cells) {
  for (; row; row = row.next_sibling()) {
    if (LocalName(row) != "row") continue;
    const int64_t number = row.attribute("r").as_llong(row_number + 1);
    if (number <= row_number || number > kMaxRows) {
      return Error(StrCat("the row after it claims to be row ", number, "; save or copy the file again"));
    }
    row_number = number;
    cells->clear();
    bool blank = true;
    int64_t column = -1;
    for (const pugi::xml_node& node : row.children()) {
      if (LocalName(node) != "c") continue;
      const std::string_view reference = node.attribute("r").value();
      const int64_t next = reference.empty() ? column + 1 : ColumnNumber(reference);
      if (next <= column || next >= kMaxColumns) {
        return Error(StrCat("a cell claims to stand at ", reference, "; save or copy the file again"));
      }
      column = next;
      Cell cell{.column = column};
      RETURN_IF_ERROR(ReadCell(node, &cell));
      blank = blank && Trimmed(cell.text).empty();
      cells->push_back(std::move(cell));
    }
    if (blank) continue;
    row = row.next_sibling();
    return true;
  }
  return false;
}

XlsxReader::XlsxReader(std::unique_ptr<Sheet> sheet) : sheet_(std::move(sheet)) {}
XlsxReader::~XlsxReader() = default;

StatusOr<std::unique_ptr<XlsxReader>> XlsxReader::Open(const std::filesystem::path& path,
                                                       const std::string& sheet) {
  ASSIGN_OR_RETURN(const ZipPackage package, ZipPackage::Open(path));
  auto parts = std::make_unique<Sheet>();
  parts->file = path.string();
  ASSIGN_OR_RETURN(parts->workbook, ReadWorkbook(package, parts->file));
  ASSIGN_OR_RETURN(parts->entry, ChooseSheet(parts->workbook, sheet, parts->file));
  RETURN_IF_ERROR(ParsePart(package, parts->entry.part, parts->file, &parts->document));
  RETURN_IF_ERROR(parts->RefuseMergedCells());
  parts->row = Child(Child(parts->document, "worksheet"), "sheetData").first_child();
  std::unique_ptr<XlsxReader> reader(new XlsxReader(std::move(parts)));
  RETURN_IF_ERROR(reader->TakeHeader());
  return reader;
}

Status XlsxReader::TakeHeader() {
  if (sheet_->workbook.sheets.size() > 1) {
    notes_.push_back(StrCat(std::filesystem::path(sheet_->file).filename().string(), ": read sheet ",
                            sheet_->entry.name, " of: ", ListSheets(sheet_->workbook)));
  }
  std::vector<Sheet::Cell> cells;
  ASSIGN_OR_RETURN(const bool any, sheet_->NextRow(&cells));
  if (!any) return absl::OkStatus();  // An empty sheet has no records.
  for (Sheet::Cell& cell : cells) {
    all_columns_.resize(static_cast<size_t>(cell.column) + 1);
    all_columns_.back() = std::move(cell.text);
  }
  RETURN_IF_ERROR(CheckColumns(
      StrCat(sheet_->file, " sheet ", sheet_->entry.name, " row ", sheet_->row_number), &all_columns_));
  for (const std::string& name : all_columns_) {
    if (!name.empty()) columns_.push_back(name);
  }
  return absl::OkStatus();
}

StatusOr<std::optional<Record>> XlsxReader::Next() {
  std::vector<Sheet::Cell> cells;
  ASSIGN_OR_RETURN(const bool any, sheet_->NextRow(&cells));
  if (!any) return std::optional<Record>();
  Record record;
  record.origin = {
      .file = sheet_->file, .sheet = sheet_->entry.name, .row = sheet_->row_number, .index = index_++};
  auto cell = cells.begin();
  for (size_t column = 0; column < all_columns_.size(); ++column) {
    while (cell != cells.end() && cell->column < static_cast<int64_t>(column)) ++cell;
    if (all_columns_[column].empty()) continue;
    Field field;
    field.name = all_columns_[column];
    field.kind = FieldKind::kNull;
    if (cell != cells.end() && cell->column == static_cast<int64_t>(column)) {
      field.kind = cell->kind;
      field.text = std::move(cell->text);
    }
    record.fields.push_back(std::move(field));
  }
  return std::optional<Record>(std::move(record));
}

}  // namespace ft::data
