// Documents of a .txt file: what stands between two blank lines, its line breaks kept, or every line, or the
// whole file, whose blank lines are kept, too. Bound: 16 MiB a document.
#pragma once

#include <string>
#include <vector>

#include "worker/data/readers/record.h"
#include "worker/data/readers/text_stream.h"

namespace ft::data {

// Lines of a text, without their line breaks (\n, \r\n or \r).
class LineReader {
 public:
  explicit LineReader(TextStream stream) : stream_(std::move(stream)) {}
  // False after the last line. INVALID_ARGUMENT for a line longer than 16 MiB.
  StatusOr<bool> Next(std::string* line);
  int64_t line() const { return line_; }  // Number of the line given last, from 1.
  std::string note() const { return stream_.note(); }
  std::string file() const { return stream_.path().string(); }

 private:
  TextStream stream_;
  std::string buffer_;
  size_t pos_ = 0;
  int64_t line_ = 0;
  bool at_end_ = false;  // The stream has no more.
};

class TxtReader : public RecordReader {
 public:
  // `documents`: paragraphs, lines or file; auto = paragraphs where blank lines stand between lines, else
  // lines.
  static StatusOr<std::unique_ptr<TxtReader>> Open(const std::filesystem::path& path, std::string field,
                                                   std::string_view documents);
  StatusOr<std::optional<Record>> Next() override;
  const std::vector<std::string>& columns() const override { return columns_; }
  std::vector<std::string> notes() const override;

 private:
  TxtReader(LineReader lines, std::string documents, std::string field)
      : lines_(std::move(lines)), documents_(std::move(documents)), field_(std::move(field)) {}

  LineReader lines_;
  std::string documents_;  // paragraphs, lines or file.
  std::string field_;      // Name of the field that holds the text.
  int64_t index_ = 0;
  std::vector<std::string> columns_;  // Stays empty.
};

}  // namespace ft::data
