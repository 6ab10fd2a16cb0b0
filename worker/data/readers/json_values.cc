#include "worker/data/readers/json_values.h"

#include <algorithm>

#include "core/base/excerpt.h"

namespace ft::data {

StatusOr<JsonValues> JsonValues::Open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(TextStream stream, TextStream::Open(path));
  return JsonValues(std::move(stream));
}

Status JsonValues::Error(int64_t line, std::string_view why) const {
  return absl::InvalidArgumentError(StrCat(stream_.path().string(), " line ", line, ": ", why));
}

StatusOr<bool> JsonValues::More() {
  // A converter may keep a whole piece back, so look at what was appended.
  const size_t before = buffer_.size();
  while (buffer_.size() == before) {
    ASSIGN_OR_RETURN(const bool more, stream_.ReadMore(&buffer_));
    if (!more) return false;
  }
  return true;
}

StatusOr<bool> JsonValues::SkipSpace() {
  for (;;) {
    for (; pos_ < buffer_.size(); ++pos_) {
      const char c = buffer_[pos_];
      if (c != ' ' && c != '\t' && c != '\r' && c != '\n') return true;
      ++column_;
      if (c == '\n') {
        ++line_;
        column_ = 1;
      }
    }
    buffer_.clear();
    pos_ = 0;
    ASSIGN_OR_RETURN(const bool more, More());
    if (!more) return false;
  }
}

void JsonValues::Step() {
  ++pos_;
  ++column_;
}

StatusOr<bool> JsonValues::FindStart() {
  ASSIGN_OR_RETURN(bool more, SkipSpace());
  if (!started_) {
    started_ = true;
    in_array_ = more && buffer_[pos_] == '[';
    if (in_array_) {
      Step();
      ASSIGN_OR_RETURN(more, SkipSpace());
    }
  } else if (in_array_ && !ended_ && more && buffer_[pos_] != ']') {
    if (buffer_[pos_] != ',') return Error(line_, "a comma or ] is missing between two records");
    Step();
    ASSIGN_OR_RETURN(more, SkipSpace());
    if (more && buffer_[pos_] == ']') return Error(line_, "a comma stands before the closing ]; remove it");
  }
  if (!in_array_ && index_ > 0 && more && buffer_[pos_] == ',') {
    return Error(
        line_,
        "a comma stands after a record; remove the commas between the lines, or put [ before the first "
        "record and ] behind the last");
  }
  if (in_array_ && !ended_) {
    if (!more)
      return Error(line_, "the file ends before the closing ]; it was probably cut off, copy it again");
    if (buffer_[pos_] == ']') {
      ended_ = true;
      Step();
      ASSIGN_OR_RETURN(more, SkipSpace());
    }
  }
  if (ended_ && more)
    return Error(line_, "text follows the closing ]; keep one array in the file, or one record a line");
  return more;
}

StatusOr<size_t> JsonValues::FindEnd() {
  int64_t line = line_, column = column_;
  int depth = 0;
  bool in_string = false;
  for (size_t i = pos_;; ++i) {
    if (i - pos_ > kMaxRecordBytes)
      return Error(
          line_,
          "this record is longer than 16 MiB; split it, or, if the records lie in a list inside it, save "
          "that list alone");
    if (i == buffer_.size()) {
      ASSIGN_OR_RETURN(const bool more, More());
      if (!more)
        return Error(line_, "this record is not closed before the end of the file; it was probably cut off");
    }
    const char c = buffer_[i];
    column += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (c == '\n') {
      ++line;
      column = 1;
    }
    if (in_string) {
      if (c == '\n') return Error(line - 1, "a string is not closed on its line; write a line break as \\n");
      if (c == '"') in_string = false;
      if (c == '\\') {
        ++column;
        ++i;  // The escaped character may lie in the next piece.
        if (i == buffer_.size()) {
          ASSIGN_OR_RETURN(const bool more, More());
          if (!more) return Error(line_, "this record is not closed before the end of the file");
        }
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxJsonDepth) return Error(line, "this record is nested more than 64 levels deep");
    } else if (c == '}' || c == ']') {
      if (--depth == 0) {
        line_ = line;
        column_ = column;
        return i + 1;
      }
    }
  }
}

Status JsonValues::RefuseValue() const {
  const char first = buffer_[pos_];
  const std::string_view what =
      first == '['   ? "and this is a list; write its parts as {\"question\": ..., \"answer\": ...}"
      : first == '"' ? "and this is a text; write {\"text\": ...}"
                     : "and this is none; if the file is plain text, call it .txt";
  return Error(line_, StrCat("a record must be an object like {\"question\": ..., \"answer\": ...}, ", what,
                             " (column ", column_,
                             ", at: ", Excerpt(std::string_view(buffer_).substr(pos_, 200)), ")"));
}

StatusOr<std::optional<JsonValue>> JsonValues::Next() {
  if (pos_ > buffer_.size() / 2) {  // Not after every record: moving the rest each time is quadratic.
    buffer_.erase(0, pos_);
    pos_ = 0;
  }
  ASSIGN_OR_RETURN(const bool found, FindStart());
  if (!found) return std::optional<JsonValue>();
  if (buffer_[pos_] != '{') return RefuseValue();
  JsonValue value{.line = line_, .column = column_, .index = index_++};
  ASSIGN_OR_RETURN(const size_t end, FindEnd());
  value.text = std::string_view(buffer_).substr(pos_, end - pos_);
  pos_ = end;
  return std::optional<JsonValue>(value);
}

}  // namespace ft::data
