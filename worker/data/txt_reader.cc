#include "worker/data/txt_reader.h"

#include <utility>

#include "worker/data/columns.h"
#include "worker/data/json_values.h"

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
    const size_t end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      line->assign(buffer_, pos_, end - pos_);
      pos_ = end + 1;
      break;
    }
    if (buffer_.size() - pos_ > kMaxRecordBytes) {
      return absl::InvalidArgumentError(
          StrCat(file(), " line ", line_ + 1, " is longer than 16 MiB; split it"));
    }
    buffer_.erase(0, pos_);
    pos_ = 0;
    searched = buffer_.size();
    ASSIGN_OR_RETURN(const bool more, stream_.ReadMore(&buffer_));
    if (more) continue;
    if (buffer_.empty()) return false;
    line->assign(buffer_);
    buffer_.clear();
    break;
  }
  if (line->ends_with('\r')) line->pop_back();
  ++line_;
  return true;
}

StatusOr<std::unique_ptr<TxtReader>> TxtReader::Open(const std::filesystem::path& path, std::string field) {
  ASSIGN_OR_RETURN(const bool blocks, HasInnerBlankLine(path));
  ASSIGN_OR_RETURN(TextStream stream, TextStream::Open(path));
  return std::unique_ptr<TxtReader>(new TxtReader(LineReader(std::move(stream)), blocks, std::move(field)));
}

StatusOr<std::optional<Record>> TxtReader::Next() {
  std::string text, line;
  int64_t first_line = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool any, lines_.Next(&line));
    if (!any) break;
    if (IsBlank(line)) {
      if (first_line > 0) break;
      continue;
    }
    if (first_line == 0) {
      first_line = lines_.line();
    } else {
      text += '\n';
    }
    text += line;
    if (text.size() > kMaxRecordBytes) {
      return absl::InvalidArgumentError(StrCat(lines_.file(), " line ", first_line,
                                               ": the document that begins here is longer than 16 MiB; "
                                               "separate its parts by blank lines"));
    }
    if (!blocks_) break;
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
  notes.push_back(
      StrCat(std::filesystem::path(lines_.file()).filename().string(),
             blocks_ ? ": documents are separated by blank lines" : ": every line is one document"));
  return notes;
}

}  // namespace ft::data
