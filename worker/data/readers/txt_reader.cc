#include "worker/data/readers/txt_reader.h"

#include <utility>

#include "worker/data/readers/columns.h"
#include "worker/data/readers/json_values.h"

namespace ft::data {
namespace {

bool IsBlank(std::string_view line) { return Trimmed(line).empty(); }

// Whether a blank line stands between two lines that are not.
StatusOr<bool> HasInnerBlankLine(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(TextStream stream, TextStream::Open(path));
  LineReader lines(std::move(stream));
  std::string line;
  bool text_before = false, blank_after_text = false;
  for (;;) {
    ASSIGN_OR_RETURN(const bool any, lines.Next(&line));
    if (!any) return false;
    if (IsBlank(line)) {
      blank_after_text = text_before;
    } else if (blank_after_text) {
      return true;
    } else {
      text_before = true;
    }
  }
}

}  // namespace

StatusOr<bool> LineReader::Next(std::string* line) {
  size_t searched = pos_;
  for (;;) {
    const size_t end = buffer_.find_first_of("\r\n", searched);
    // A \r at the end of a piece may have its \n in the next one.
    const bool cut =
        end != std::string::npos && buffer_[end] == '\r' && end + 1 == buffer_.size() && !at_end_;
    if (end != std::string::npos && !cut) {
      line->assign(buffer_, pos_, end - pos_);
      pos_ = end + 1;
      if (buffer_[end] == '\r' && pos_ < buffer_.size() && buffer_[pos_] == '\n') ++pos_;
      break;
    }
    if (buffer_.size() - pos_ > kMaxRecordBytes) {
      return absl::InvalidArgumentError(
          StrCat(file(), " line ", line_ + 1, " is longer than 16 MiB; split it"));
    }
    buffer_.erase(0, pos_);
    pos_ = 0;
    searched = cut ? buffer_.size() - 1 : buffer_.size();
    ASSIGN_OR_RETURN(const bool more, stream_.ReadMore(&buffer_));
    at_end_ = !more;
    if (more || cut) continue;
    if (buffer_.empty()) return false;
    line->assign(buffer_);
    buffer_.clear();
    break;
  }
  ++line_;
  return true;
}

StatusOr<std::unique_ptr<TxtReader>> TxtReader::Open(const std::filesystem::path& path, std::string field,
                                                     std::string_view documents) {
  std::string chosen(documents);
  if (chosen == "auto") {
    ASSIGN_OR_RETURN(const bool blank, HasInnerBlankLine(path));
    chosen = blank ? "paragraphs" : "lines";
  }
  ASSIGN_OR_RETURN(TextStream stream, TextStream::Open(path));
  return std::unique_ptr<TxtReader>(
      new TxtReader(LineReader(std::move(stream)), std::move(chosen), std::move(field)));
}

StatusOr<std::optional<Record>> TxtReader::Next() {
  std::string text, line;
  int64_t first_line = 0, blank_lines = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool any, lines_.Next(&line));
    if (!any) break;
    if (IsBlank(line)) {
      if (first_line > 0 && documents_ != "file") break;
      blank_lines += first_line > 0;  // Those at the end are not kept.
      continue;
    }
    if (first_line == 0) {
      first_line = lines_.line();
    } else {
      text.append(static_cast<size_t>(blank_lines) + 1, '\n');
    }
    blank_lines = 0;
    text += line;
    if (text.size() > kMaxRecordBytes) {
      return absl::InvalidArgumentError(StrCat(
          lines_.file(), " line ", first_line, ": the document that begins here is longer than 16 MiB; ",
          documents_ == "file" ? "cut the file in parts" : "separate its parts by blank lines"));
    }
    if (documents_ == "lines") break;
  }
  if (first_line == 0) return std::optional<Record>();
  Record record;
  record.origin = {.file = lines_.file(), .row = first_line, .index = index_++};
  Field field;
  field.name = field_;
  field.text = std::move(text);
  record.fields.push_back(std::move(field));
  return std::optional<Record>(std::move(record));
}

std::vector<std::string> TxtReader::notes() const {
  std::vector<std::string> notes;
  const std::string note = lines_.note();
  if (!note.empty()) notes.push_back(note);
  const std::string file = std::filesystem::path(lines_.file()).filename().string();
  notes.push_back(StrCat(file, documents_ == "file"         ? ": the whole file is one document"
                               : documents_ == "paragraphs" ? ": documents are separated by blank lines"
                                                            : ": every line is one document"));
  if (documents_ != "file") {
    notes.back() += "; if it is one text, such as a book, write documents: file";
  }
  return notes;
}

}  // namespace ft::data
