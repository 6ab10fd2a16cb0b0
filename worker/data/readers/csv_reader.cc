#include "worker/data/readers/csv_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/counted.h"
#include "worker/data/readers/columns.h"

namespace ft::data {
namespace {

constexpr size_t kMaxFieldBytes = size_t{1} << 20;
constexpr size_t kMaxColumns = 1024;

}  // namespace

Status CsvReader::Error(int64_t line, std::string_view why) const {
  return absl::InvalidArgumentError(StrCat(stream_.path().string(), " line ", line, ": ", why));
}

StatusOr<std::unique_ptr<CsvReader>> CsvReader::Open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(TextStream stream, TextStream::Open(path));
  std::unique_ptr<CsvReader> reader(new CsvReader(std::move(stream)));
  RETURN_IF_ERROR(reader->GuessDelimiter());
  RETURN_IF_ERROR(reader->TakeHeader());
  return reader;
}

StatusOr<bool> CsvReader::Peek(char* c) {
  while (pos_ >= buffer_.size()) {
    buffer_.clear();
    pos_ = 0;
    ASSIGN_OR_RETURN(const bool more, stream_.ReadMore(&buffer_));
    if (!more) return false;
  }
  *c = buffer_[pos_];
  return true;
}

bool CsvReader::TakeSeparatorLine() {
  // The whole line lies within the first piece.
  const size_t end = std::min(buffer_.find_first_of("\r\n"), buffer_.size());
  std::string line = Trimmed(std::string_view(buffer_).substr(0, end));
  if (line.size() >= 2 && line.front() == '"' && line.back() == '"') line = line.substr(1, line.size() - 2);
  const bool directive = line.size() == 5 && (line.starts_with("sep=") || line.starts_with("SEP="));
  const bool named = directive && std::string_view(",;|:^~").find(line[4]) != std::string_view::npos;
  if (named) {
    delimiter_ = line[4];
  } else if (end < buffer_.size() && (buffer_.starts_with("sep=\t") || buffer_.starts_with("SEP=\t"))) {
    delimiter_ = '\t';
  } else {
    return false;
  }
  pos_ = end;
  if (pos_ < buffer_.size() && buffer_[pos_] == '\r') ++pos_;
  if (pos_ < buffer_.size() && buffer_[pos_] == '\n') ++pos_;
  ++line_;
  return true;
}

Status CsvReader::GuessDelimiter() {
  char first = 0;
  ASSIGN_OR_RETURN(const bool any, Peek(&first));
  if (!any) return absl::OkStatus();
  separator_named_ = TakeSeparatorLine();
  if (separator_named_) return absl::OkStatus();
  // The header row lies within the first piece, which is not consumed here.
  constexpr std::array<char, 3> kDelimiters = {',', ';', '\t'};
  std::array<int64_t, 3> counts = {};
  bool quoted = false, begun = false;
  for (const char c : buffer_) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '\n' || c == '\r') {
      if (begun) break;
      continue;  // Blank lines may stand before the header.
    }
    begun = begun || (c != ' ' && c != '\t');
    for (size_t i = 0; i < kDelimiters.size(); ++i) counts[i] += c == kDelimiters[i];
  }
  delimiter_ =
      kDelimiters[static_cast<size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin())];
  return absl::OkStatus();
}

Status CsvReader::TakeHeader() {
  ASSIGN_OR_RETURN(const bool any, NextRow(&columns_));
  header_line_ = row_line_;
  if (!any) return absl::OkStatus();  // An empty file has no records.
  return CheckColumns(StrCat(stream_.path().string(), " line ", row_line_), &columns_);
}

Status CsvReader::ReadQuoted(std::string* field) {
  const int64_t opened = line_;
  for (;;) {
    char c = 0;
    ASSIGN_OR_RETURN(bool any, Peek(&c));
    if (!any) return Error(opened, "a quote opens here and is not closed before the end of the file");
    ++pos_;
    if (c == '"') {
      ASSIGN_OR_RETURN(any, Peek(&c));
      if (!any || c != '"') return absl::OkStatus();
      ++pos_;
    } else if (c == '\r') {
      ASSIGN_OR_RETURN(any, Peek(&c));
      if (any && c == '\n') ++pos_;
      c = '\n';
    }
    if (c == '\n') ++line_;
    if (field->size() == kMaxFieldBytes) {
      return Error(opened, "a field is longer than 1 MiB; a quote that opens here is probably not closed");
    }
    field->push_back(c);
  }
}

StatusOr<bool> CsvReader::Skip(char* c, std::string* skipped) {
  ASSIGN_OR_RETURN(bool any, Peek(c));
  while (any && IsBlank(*c)) {
    if (skipped->size() == kMaxFieldBytes) return Error(line_, "a field is longer than 1 MiB; split it");
    skipped->push_back(*c);
    ++pos_;
    ASSIGN_OR_RETURN(any, Peek(c));
  }
  return any;
}

StatusOr<std::string> CsvReader::ReadField() {
  std::string field;  // Blanks in front belong to it unless a quote follows.
  char c = 0;
  ASSIGN_OR_RETURN(bool any, Skip(&c, &field));
  if (any && c == '"') {
    field.clear();
    ++pos_;
    RETURN_IF_ERROR(ReadQuoted(&field));
    std::string behind;
    ASSIGN_OR_RETURN(any, Skip(&c, &behind));
    if (any && c != delimiter_ && c != '\n' && c != '\r') {
      return Error(line_, "text follows a closing quote; double the quotes that belong to the text");
    }
    return field;
  }
  while (any && c != delimiter_ && c != '\n' && c != '\r') {
    if (field.size() == kMaxFieldBytes) return Error(line_, "a field is longer than 1 MiB; split it");
    field.push_back(c);
    ++pos_;
    ASSIGN_OR_RETURN(any, Peek(&c));
  }
  return field;
}

StatusOr<bool> CsvReader::ReadRow(std::vector<std::string>* fields) {
  fields->clear();
  row_line_ = line_;
  char c = 0;
  ASSIGN_OR_RETURN(bool any, Peek(&c));
  if (!any) return false;
  for (;;) {
    ASSIGN_OR_RETURN(std::string field, ReadField());
    if (fields->size() == kMaxColumns) return Error(row_line_, "this row has more than 1,024 fields");
    fields->push_back(std::move(field));
    ASSIGN_OR_RETURN(any, Peek(&c));
    if (!any) return true;
    ++pos_;
    if (c == delimiter_) continue;
    if (c == '\r') {
      ASSIGN_OR_RETURN(any, Peek(&c));
      if (any && c == '\n') ++pos_;
    }
    ++line_;
    return true;
  }
}

StatusOr<bool> CsvReader::NextRow(std::vector<std::string>* fields) {
  for (;;) {
    ASSIGN_OR_RETURN(const bool any, ReadRow(fields));
    if (!any) return false;
    const bool blank = std::all_of(fields->begin(), fields->end(),
                                   [](const std::string& field) { return Trimmed(field).empty(); });
    if (!blank) return true;
  }
}

StatusOr<std::optional<Record>> CsvReader::Next() {
  std::vector<std::string> fields;
  ASSIGN_OR_RETURN(const bool any, NextRow(&fields));
  if (!any) return std::optional<Record>();
  // A delimiter at the end of every row but not of the header is a common habit of exporters.
  while (fields.size() > columns_.size() && fields.back().empty()) fields.pop_back();
  if (fields.size() != columns_.size()) return RefuseWidth(fields.size());
  Record record;
  record.origin = {.file = stream_.path().string(), .row = row_line_, .index = index_++};
  for (size_t i = 0; i < fields.size(); ++i) {
    if (columns_[i].empty()) {
      if (nameless_.empty() && !Trimmed(fields[i]).empty()) nameless_ = StrCat(i + 1);
      continue;
    }
    Field field;
    field.name = columns_[i];
    field.text = std::move(fields[i]);
    record.fields.push_back(std::move(field));
  }
  return std::optional<Record>(std::move(record));
}

Status CsvReader::RefuseWidth(size_t fields) const {
  const std::string found =
      StrCat("this row has ", Counted(static_cast<int64_t>(fields), "field"), ", the header has ");
  if (columns_.size() == 1) {
    return Error(row_line_, StrCat(found, "one (\"", columns_[0],
                                   "\"); put quotes around text that holds a comma, or, if every line is one "
                                   "text, call the file .txt"));
  }
  return Error(row_line_,
               StrCat(found, columns_.size(), "; put quotes around text that holds the delimiter"));
}

std::vector<std::string> CsvReader::notes() const {
  std::vector<std::string> notes;
  const std::string file = stream_.path().filename().string();
  if (!stream_.note().empty()) notes.push_back(stream_.note());
  if (separator_named_) {
    notes.push_back(StrCat(file, ": its first line says that fields are separated by ",
                           delimiter_ == '\t' ? "tabs" : std::string(1, delimiter_)));
  }
  if (!nameless_.empty()) {
    notes.push_back(StrCat(file, ": column ", nameless_, " has no name in the header and was not read"));
  }
  return notes;
}

}  // namespace ft::data
