// A text file read as UTF-8 piece by piece, whatever it was saved in: UTF-8 with or without a byte order
// mark, GB18030 (which covers GBK and GB2312), or UTF-16 with a byte order mark. The whole file is looked at
// once before the first piece is given, so a file that mixes encodings is refused before any of it is used.
//
// How the encoding is told apart: a file without an invalid UTF-8 sequence is UTF-8. Otherwise every stretch
// between line ends, quotes, commas and tabs is judged alone: stretches that can only be UTF-8 beside
// stretches that cannot be make a mixed file; a file that follows GB18030's rules throughout, with most of
// its characters in the common Chinese rows, is GB18030; all else is refused by line (Latin-1 follows the
// rules at times, but never has those characters).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "core/base/file.h"

namespace ft::data {

enum class Encoding { kUtf8, kUtf8WithMark, kGb18030, kUtf16LittleEndian, kUtf16BigEndian };

// One thread. Movable.
class TextStream {
 public:
  // INVALID_ARGUMENT names the file and the line of the first byte that is not text in any of the encodings
  // above.
  static StatusOr<TextStream> Open(const std::filesystem::path& path);
  TextStream(TextStream&&) noexcept;
  TextStream& operator=(TextStream&&) noexcept;
  ~TextStream();

  // Appends the next piece (at most 1 MiB) to `out`. False when nothing is left.
  StatusOr<bool> ReadMore(std::string* out);

  Encoding encoding() const { return encoding_; }
  // A sentence for people when the text was converted, otherwise empty.
  std::string note() const;
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  struct Converter;  // ICU's two converters and what lies between them.
  explicit TextStream(RandomAccessFile file);
  Status StartConverter(const char* icu_name);
  Status Convert(std::string_view raw, bool last, std::string* out);

  RandomAccessFile file_;
  Encoding encoding_ = Encoding::kUtf8;
  uint64_t offset_ = 0;
  std::unique_ptr<Converter> converter_;
};

}  // namespace ft::data
