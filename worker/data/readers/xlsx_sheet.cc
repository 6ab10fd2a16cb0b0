#include "worker/data/readers/xlsx_sheet.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "core/base/counted.h"
#include "worker/data/readers/columns.h"

namespace ft::data {
namespace {

constexpr int64_t kMaxRows = 1048576;

// "AB12" is column 27 of row 12, from 0 and from 1; -1 for what is not there or out of range.
struct CellPlace {
  int64_t column = -1, row = -1;
};

CellPlace PlaceOf(std::string_view reference) {
  CellPlace place;
  int64_t number = 0;
  size_t letters = 0;
  for (; letters < reference.size() && reference[letters] >= 'A' && reference[letters] <= 'Z'; ++letters) {
    number = number * 26 + (reference[letters] - 'A' + 1);
    if (number > kMaxSheetColumns) return place;
  }
  if (letters > 0) place.column = number - 1;
  int64_t row = 0;
  const char* const end = reference.data() + reference.size();
  const auto [stop, error] = std::from_chars(reference.data() + letters, end, row);
  if (error == std::errc() && stop == end && row >= 1 && row <= kMaxRows) place.row = row;
  return place;
}

}  // namespace

std::string ColumnName(int64_t number) {
  std::string name;
  for (int64_t n = number + 1; n > 0; n = (n - 1) / 26)
    name.insert(name.begin(), static_cast<char>('A' + (n - 1) % 26));
  return name;
}

Status SheetRows::Error(std::string_view why) const {
  return absl::InvalidArgumentError(StrCat(file_, " sheet ", sheet_, " row ", row_number_, ": ", why));
}

Status SheetRows::Open(const ZipPackage& package, const std::string& part) {
  RETURN_IF_ERROR(ParsePart(package, part, file_, &document_));
  RETURN_IF_ERROR(ReadMerged());
  ReadHiddenColumns();
  next_ = Child(Child(document_, "worksheet"), "sheetData").first_child();
  return absl::OkStatus();
}

Status SheetRows::ReadMerged() {
  for (const pugi::xml_node& node : Child(Child(document_, "worksheet"), "mergeCells").children()) {
    if (LocalName(node) != "mergeCell") continue;
    const std::string name = node.attribute("ref").value();
    const size_t colon = name.find(':');
    const CellPlace from = PlaceOf(name.substr(0, colon));
    const CellPlace to = colon == std::string::npos ? from : PlaceOf(name.substr(colon + 1));
    if (from.column < 0 || from.row < 0 || to.column < from.column || to.row < from.row) {
      return absl::InvalidArgumentError(StrCat(file_, " sheet ", sheet_, " claims merged cells at \"", name,
                                               "\"; save or copy the file again"));
    }
    merged_.push_back({from.row, to.row, from.column, to.column, name});
  }
  std::stable_sort(merged_.begin(), merged_.end(),
                   [](const Range& a, const Range& b) { return a.first_row < b.first_row; });
  return absl::OkStatus();
}

void SheetRows::ReadHiddenColumns() {
  int64_t nodes = 0;
  for (const pugi::xml_node& node : Child(Child(document_, "worksheet"), "cols").children()) {
    if (++nodes > kMaxSheetColumns) return;  // More than there are columns: no spreadsheet writes this.
    if (LocalName(node) != "col" || !node.attribute("hidden").as_bool()) continue;
    const int64_t first = std::max<int64_t>(node.attribute("min").as_llong(), 1);
    const int64_t last = std::min<int64_t>(node.attribute("max").as_llong(), kMaxSheetColumns);
    if (last < first) continue;
    hidden_columns_.resize(std::max(hidden_columns_.size(), static_cast<size_t>(last)));
    std::fill(hidden_columns_.begin() + (first - 1), hidden_columns_.begin() + last, true);
  }
}

bool SheetRows::IsHidden(int64_t column) const {
  return column < static_cast<int64_t>(hidden_columns_.size()) &&
         hidden_columns_[static_cast<size_t>(column)];
}

void SheetRows::Format(const pugi::xml_node& node, double number, SheetCell* cell) {
  const auto style = static_cast<size_t>(node.attribute("s").as_uint());
  const std::string_view code = style < workbook_.formats.size() ? std::string_view(workbook_.formats[style])
                                                                 : std::string_view("General");
  cell->kind = FieldKind::kNumber;
  bool plain = false;
  cell->text = FormatNumber(number, code, workbook_.dates, &plain);
  if (plain && plain_numbers_++ == 0) {
    first_plain_ = StrCat(ColumnName(cell->column), row_number_, ", whose format is ", code);
  }
}

Status SheetRows::ReadNumber(const pugi::xml_node& node, const std::string& value, SheetCell* cell) {
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size() || !std::isfinite(number)) {
    return Error(StrCat("cell ", ColumnName(cell->column), row_number_, " holds \"", value,
                        "\" where a number belongs"));
  }
  Format(node, number, cell);
  return absl::OkStatus();
}

Status SheetRows::ReadCell(const pugi::xml_node& node, SheetCell* cell) {
  const std::string_view type = node.attribute("t").value();
  const pugi::xml_node value_node = Child(node, "v");
  const std::string value = InnerText(value_node);
  const bool number = type.empty() || type == "n";
  cell->kind = FieldKind::kText;
  if (type == "inlineStr") {
    cell->text = StringItem(Child(node, "is"));
  } else if (!value_node || (value.empty() && (number || type == "b" || type == "e" || type == "d"))) {
    cell->kind = Child(node, "f") ? FieldKind::kError : FieldKind::kNull;
    if (cell->kind == FieldKind::kError) {
      cell->text = "a formula without a stored result; open the file in a spreadsheet program and save it";
    }
  } else if (type == "s") {
    size_t index = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), index);
    if (error != std::errc() || end != value.data() + value.size() ||
        index >= workbook_.shared_strings.size()) {
      return Error(StrCat("cell ", ColumnName(cell->column), row_number_, " points at shared string ", value,
                          " of ", workbook_.shared_strings.size(), "; save or copy the file again"));
    }
    cell->text = workbook_.shared_strings[index];
  } else if (type == "b") {
    cell->kind = FieldKind::kBool;
    cell->text = value == "1" || value == "true" ? "TRUE" : "FALSE";
  } else if (type == "e") {
    cell->kind = FieldKind::kError;
    cell->text = StrCat("the error ", value);
  } else if (number) {
    return ReadNumber(node, value, cell);
  } else if (const std::optional<double> date =
                 type == "d" ? ParseIsoDate(value, workbook_.dates) : std::nullopt) {
    Format(node, *date, cell);
  } else {
    cell->text = Unescaped(value);  // str: a formula's text.
  }
  return absl::OkStatus();
}

Status SheetRows::MarkMerged(int64_t width, SheetRow* row) {
  std::erase_if(covering_, [&](const Range& range) { return range.last_row < row->number; });
  for (; merged_begun_ < merged_.size() && merged_[merged_begun_].first_row <= row->number; ++merged_begun_) {
    const Range& range = merged_[merged_begun_];
    if (range.last_row >= row->number && range.first_column < width) covering_.push_back(range);
  }
  int64_t marks = 0;
  for (const Range& range : covering_) {
    for (int64_t column = range.first_column; column <= range.last_column && column < width; ++column) {
      if (++marks > width) {
        return absl::InvalidArgumentError(StrCat(file_, " sheet ", sheet_, " row ", row->number,
                                                 ": merged cells overlap; save or copy the file again"));
      }
      const auto at = std::lower_bound(row->cells.begin(), row->cells.end(), column,
                                       [](const SheetCell& cell, int64_t c) { return cell.column < c; });
      SheetCell mark{.column = column, .kind = FieldKind::kError};
      mark.text = StrCat("merged cells at ", range.name,
                         "; unmerge them and fill in every row, since a merged value belongs to one");
      if (at != row->cells.end() && at->column == column) {
        *at = std::move(mark);
      } else {
        row->cells.insert(at, std::move(mark));
      }
    }
  }
  return absl::OkStatus();
}

Status SheetRows::ReadRow(const pugi::xml_node& node, SheetRow* row) {
  const int64_t number = node.attribute("r").as_llong(row_number_ + 1);
  if (number <= row_number_ || number > kMaxRows) {
    return Error(StrCat("the row after it claims to be row ", number, "; save or copy the file again"));
  }
  row->number = row_number_ = number;
  row->cells.clear();
  int64_t column = -1;
  for (const pugi::xml_node& child : node.children()) {
    if (LocalName(child) != "c") continue;
    const std::string_view reference = child.attribute("r").value();
    const int64_t next = reference.empty() ? column + 1 : PlaceOf(reference).column;
    if (next <= column || next >= kMaxSheetColumns) {
      return Error(StrCat("a cell claims to stand at ", reference, "; save or copy the file again"));
    }
    column = next;
    SheetCell cell{.column = column};
    RETURN_IF_ERROR(ReadCell(child, &cell));
    row->cells.push_back(std::move(cell));
  }
  return absl::OkStatus();
}

StatusOr<bool> SheetRows::Next(SheetRow* row) {
  while (next_) {
    const pugi::xml_node node = std::exchange(next_, next_.next_sibling());
    if (LocalName(node) != "row") continue;
    const int64_t plain_before = plain_numbers_;
    RETURN_IF_ERROR(ReadRow(node, row));
    const bool blank = std::all_of(row->cells.begin(), row->cells.end(),
                                   [](const SheetCell& cell) { return Trimmed(cell.text).empty(); });
    const bool hidden = node.attribute("hidden").as_bool();
    if (blank || hidden) plain_numbers_ = plain_before;
    if (blank) continue;
    if (hidden) {
      if (hidden_rows_++ == 0) first_hidden_ = StrCat(row->number);
      continue;
    }
    return true;
  }
  return false;
}

std::vector<std::string> SheetRows::Notes() const {
  std::vector<std::string> notes;
  if (hidden_rows_ > 0) {
    notes.push_back(StrCat(Counted(hidden_rows_, "row"), " that the sheet hides (by a filter, or by hand) ",
                           hidden_rows_ == 1 ? "was" : "were", " left out, the first is row ", first_hidden_,
                           "; show them in the spreadsheet program to have them learnt"));
  }
  if (plain_numbers_ > 0) {
    notes.push_back(StrCat(Counted(plain_numbers_, "number"), plain_numbers_ == 1 ? " stands" : " stand",
                           " plainly, not as the sheet shows it; the first is ", first_plain_));
  }
  return notes;
}

}  // namespace ft::data
