// A text file read as UTF-8 piece by piece, whatever it was saved in: UTF-8 with or without a byte order
// mark, GB18030 (which covers GBK and GB2312), Big5, EUC-KR, Shift_JIS, EUC-JP, or UTF-16 with a byte order
// mark. The whole file is looked at once before the first piece is given, so a file that mixes encodings is
// refused before any of it is used.
//
// How the encoding is told apart: a file without an invalid UTF-8 sequence is UTF-8. Otherwise every stretch
// between line ends, quotes, commas and tabs is judged alone: stretches that can only be UTF-8 beside
// stretches that cannot be make a mixed file. All else goes to encoding_guess.h; what it cannot tell is
// refused by line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "core/base/file.h"
#include "worker/data/readers/encoding_guess.h"

namespace ft::data {

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
