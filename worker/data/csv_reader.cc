#include "worker/data/csv_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "worker/data/columns.h"

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

Status CsvReader::GuessDelimiter() {
  char first = 0;
  ASSIGN_OR_RETURN(const bool any, Peek(&first));
  if (!any) return absl::OkStatus();
  // The header row lies within the first piece, which is not consumed here.
  constexpr std::array<char, 3> kDelimiters = {',', ';', '\t'};
  std::array<int64_t, 3> counts = {};
  bool quoted = false;
  for (const char c : buffer_) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (c == '\n' || c == '\r') {
      if (*std::max_element(counts.begin(), counts.end()) > 0) break;
      continue;  // Blank lines may stand before the header; a single column has no delimiter at all.
    }
    for (size_t i = 0; i < kDelimiters.size(); ++i) counts[i] += c == kDelimiters[i];
  }
  delimiter_ =
      kDelimiters[static_cast<size_t>(std::max_element(counts.begin(), counts.end()) - counts.begin())];
  return absl::OkStatus();
}

Status CsvReader::TakeHeader() {
  ASSIGN_OR_RETURN(const bool any, NextRow(&columns_));
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
    if (c == '\n') ++line_;
    if (c == '"') {
      ASSIGN_OR_RETURN(any, Peek(&c));
      if (!any || c != '"') return absl::OkStatus();
      ++pos_;
    }
    if (field->size() == kMaxFieldBytes) {
      return Error(opened, "a field is longer than 1 MiB; a quote that opens here is probably not closed");
    }
    field->push_back(c);
  }
}

StatusOr<std::string> CsvReader::ReadField() {
  std::string field;
  char c = 0;
  ASSIGN_OR_RETURN(bool any, Peek(&c));
  if (any && c == '"') {
    ++pos_;
    RETURN_IF_ERROR(ReadQuoted(&field));
    ASSIGN_OR_RETURN(any, Peek(&c));
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
  if (fields.size() != columns_.size()) {
    return Error(row_line_, StrCat("this row has ", fields.size(), " fields, the header has ",
                                   columns_.size(), "; put quotes around text that holds the delimiter"));
  }
  Record record;
  record.origin = {.file = stream_.path().string(), .row = row_line_, .index = index_++};
  for (size_t i = 0; i < fields.size(); ++i) {
    if (columns_[i].empty()) continue;
    Field field;
    field.name = columns_[i];
    field.text = std::move(fields[i]);
    record.fields.push_back(std::move(field));
  }
  return std::optional<Record>(std::move(record));
}

std::vector<std::string> CsvReader::notes() const {
  const std::string note = stream_.note();
  return note.empty() ? std::vector<std::string>() : std::vector<std::string>{note};
}

}  // namespace ft::data
