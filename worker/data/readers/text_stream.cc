#include "worker/data/readers/text_stream.h"

#include <unicode/ucnv.h>

#include <algorithm>
#include <utility>

namespace ft::data {
namespace {

constexpr size_t kPieceBytes = size_t{256} << 10;
constexpr size_t kSampleBytes = size_t{64} << 10;
constexpr size_t kStretchBytes = size_t{4} << 10;

// Follows UTF-8's rules byte by byte (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF).
class Utf8Rules {
 public:
  // False when `byte` cannot follow what came before; the state then starts anew, after this byte.
  bool Accept(unsigned char byte) {
    if (pending_ > 0) {
      const bool fits = byte >= low_ && byte <= high_;
      low_ = 0x80;
      high_ = 0xBF;
      pending_ = fits ? pending_ - 1 : 0;
      return fits;
    }
    if (byte < 0x80) return true;
    if (byte >= 0xC2 && byte <= 0xDF) return Begin(1, 0x80, 0xBF);
    if (byte == 0xE0) return Begin(2, 0xA0, 0xBF);
    if (byte == 0xED) return Begin(2, 0x80, 0x9F);
    if (byte >= 0xE1 && byte <= 0xEF) return Begin(2, 0x80, 0xBF);
    if (byte == 0xF0) return Begin(3, 0x90, 0xBF);
    if (byte >= 0xF1 && byte <= 0xF3) return Begin(3, 0x80, 0xBF);
    if (byte == 0xF4) return Begin(3, 0x80, 0x8F);
    return false;
  }
  // A sequence of three or four bytes began with the last byte accepted: what Chinese text is made of.
  bool BeganLong() const { return began_long_; }
  void ClearBegan() { began_long_ = false; }
  bool InSequence() const { return pending_ > 0; }

 private:
  bool Begin(int pending, unsigned char low, unsigned char high) {
    pending_ = pending;
    low_ = low;
    high_ = high;
    began_long_ = pending >= 2;
    return true;
  }
  int pending_ = 0;
  unsigned char low_ = 0x80, high_ = 0xBF;
  bool began_long_ = false;
};

// What one look at the whole file finds. Lines count from 1; 0 = there is none.
struct Survey {
  int64_t zero_line = 0;            // First line with a zero byte.
  int64_t bad_utf8_line = 0;        // First line that is not UTF-8.
  int64_t utf8_line = 0;            // First line with a stretch that is UTF-8 and hardly anything else.
  int64_t utf8_stretches = 0;       // Stretches with at least two long UTF-8 sequences and no invalid one.
  int64_t other_stretches = 0;      // Stretches that are not UTF-8.
  bool certain_utf8 = false;        // A stretch with four or more long sequences: not by chance.
  std::vector<std::string> sample;  // Beginnings of stretches that are not UTF-8, up to kSampleBytes in all.
};

class Surveyor {
 public:
  void Add(std::string_view bytes) {
    for (const char c : bytes) Add(static_cast<unsigned char>(c));
  }
  Survey Finish() {
    if (utf8_.InSequence()) NoteBadUtf8();
    EndStretch();
    return std::move(found_);
  }

 private:
  void Add(unsigned char byte) {
    if (byte == 0 && found_.zero_line == 0) found_.zero_line = line_;
    if (!utf8_.Accept(byte)) NoteBadUtf8();
    if (utf8_.BeganLong()) {
      ++long_sequences_;
      utf8_.ClearBegan();
    }
    // None of these bytes can be part of a longer character in any of the encodings.
    if (byte == '\n' || byte == '"' || byte == ',' || byte == '\t') {
      EndStretch();
    } else if (sampled_ + stretch_.size() < kSampleBytes && stretch_.size() < kStretchBytes) {
      stretch_.push_back(static_cast<char>(byte));
    }
    if (byte == '\n') ++line_;
  }
  void NoteBadUtf8() {
    bad_stretch_ = true;
    if (found_.bad_utf8_line == 0) found_.bad_utf8_line = line_;
  }
  void EndStretch() {
    if (bad_stretch_) {
      ++found_.other_stretches;
      sampled_ += stretch_.size();
      if (!stretch_.empty()) found_.sample.push_back(std::move(stretch_));
    } else if (long_sequences_ >= 2) {
      ++found_.utf8_stretches;
      if (found_.utf8_line == 0) found_.utf8_line = line_;
      if (long_sequences_ >= 4) found_.certain_utf8 = true;
    }
    bad_stretch_ = false;
    long_sequences_ = 0;
    stretch_.clear();
  }

  Survey found_;
  Utf8Rules utf8_;
  std::string stretch_;  // Its beginning, for the sample.
  size_t sampled_ = 0;   // Bytes of the sample.
  int64_t line_ = 1;
  int64_t long_sequences_ = 0;
  bool bad_stretch_ = false;
};

StatusOr<Survey> SurveyFile(const RandomAccessFile& file) {
  Surveyor surveyor;
  std::string piece;
  for (uint64_t offset = 0; offset < file.size(); offset += piece.size()) {
    piece.resize(std::min<uint64_t>(kPieceBytes, file.size() - offset));
    RETURN_IF_ERROR(file.ReadAt(offset, std::as_writable_bytes(std::span(piece))));
    surveyor.Add(piece);
  }
  return surveyor.Finish();
}

// The encoding the survey shows, or why there is none.
StatusOr<Encoding> Judge(const Survey& found, const std::filesystem::path& path) {
  const std::string file = path.string();
  if (found.zero_line > 0) {
    return absl::InvalidArgumentError(StrCat(file, " line ", found.zero_line,
                                             " holds a zero byte, so it is not text; save it as UTF-8 text"));
  }
  if (found.bad_utf8_line == 0) return Encoding::kUtf8;
  // In GB18030 text about one stretch in 4,000 passes for UTF-8 by chance; more than one in 200 is a mixture.
  if (found.certain_utf8 || found.utf8_stretches * 200 > found.other_stretches) {
    return absl::InvalidArgumentError(StrCat(file, " mixes encodings: line ", found.utf8_line,
                                             " is UTF-8, line ", found.bad_utf8_line,
                                             " is not; save the whole file as UTF-8"));
  }
  const std::vector<Encoding> likely = GuessEncoding(found.sample);
  if (likely.size() == 1) return likely[0];
  std::string names;
  for (const Encoding encoding : likely)
    StrAppend(&names, names.empty() ? "" : " or ", EncodingName(encoding));
  return absl::InvalidArgumentError(StrCat(
      file, " line ", found.bad_utf8_line,
      likely.empty() ? " is neither UTF-8 nor text in another encoding that is read (GB18030, Big5, EUC-KR, "
                       "Shift_JIS, EUC-JP)"
                     : StrCat(" is not UTF-8 and may be ", names),
      "; save the file as UTF-8"));
}

}  // namespace

struct TextStream::Converter {
  ~Converter() {
    ucnv_close(from);
    ucnv_close(to);
  }
  UConverter* from = nullptr;
  UConverter* to = nullptr;
  UChar pivot[4096];
  UChar* pivot_source = pivot;
  UChar* pivot_target = pivot;
};

TextStream::TextStream(RandomAccessFile file) : file_(std::move(file)) {}
TextStream::TextStream(TextStream&&) noexcept = default;
TextStream& TextStream::operator=(TextStream&&) noexcept = default;
TextStream::~TextStream() = default;

StatusOr<TextStream> TextStream::Open(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(RandomAccessFile file, RandomAccessFile::Open(path));
  TextStream stream(std::move(file));
  std::string head(std::min<uint64_t>(3, stream.file_.size()), '\0');
  RETURN_IF_ERROR(stream.file_.ReadAt(0, std::as_writable_bytes(std::span(head))));
  if (head.starts_with("\xFF\xFE")) {
    stream.encoding_ = Encoding::kUtf16LittleEndian;
    stream.offset_ = 2;
    RETURN_IF_ERROR(stream.StartConverter(IcuName(stream.encoding_)));
    return stream;
  }
  if (head.starts_with("\xFE\xFF")) {
    stream.encoding_ = Encoding::kUtf16BigEndian;
    stream.offset_ = 2;
    RETURN_IF_ERROR(stream.StartConverter(IcuName(stream.encoding_)));
    return stream;
  }
  ASSIGN_OR_RETURN(const Survey found, SurveyFile(stream.file_));
  ASSIGN_OR_RETURN(stream.encoding_, Judge(found, path));
  if (head == "\xEF\xBB\xBF" && stream.encoding_ == Encoding::kUtf8) {
    stream.encoding_ = Encoding::kUtf8WithMark;
    stream.offset_ = 3;
  }
  if (stream.encoding_ != Encoding::kUtf8 && stream.encoding_ != Encoding::kUtf8WithMark)
    RETURN_IF_ERROR(stream.StartConverter(IcuName(stream.encoding_)));
  return stream;
}

Status TextStream::StartConverter(const char* icu_name) {
  converter_ = std::make_unique<Converter>();
  UErrorCode error = U_ZERO_ERROR;
  converter_->from = ucnv_open(icu_name, &error);
  converter_->to = ucnv_open("UTF-8", &error);
  ucnv_setToUCallBack(converter_->from, UCNV_TO_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  ucnv_setFromUCallBack(converter_->to, UCNV_FROM_U_CALLBACK_STOP, nullptr, nullptr, nullptr, &error);
  if (U_FAILURE(error)) {
    return absl::InternalError(StrCat("ICU has no converter for ", icu_name, ": ", u_errorName(error)));
  }
  return absl::OkStatus();
}

StatusOr<bool> TextStream::ReadMore(std::string* out) {
  if (offset_ >= file_.size()) return false;
  const size_t size = std::min<uint64_t>(kPieceBytes, file_.size() - offset_);
  if (converter_ == nullptr) {
    const size_t before = out->size();
    out->resize(before + size);
    RETURN_IF_ERROR(file_.ReadAt(offset_, std::as_writable_bytes(std::span(*out).subspan(before))));
    offset_ += size;
    return true;
  }
  std::string raw(size, '\0');
  RETURN_IF_ERROR(file_.ReadAt(offset_, std::as_writable_bytes(std::span(raw))));
  offset_ += size;
  RETURN_IF_ERROR(Convert(raw, offset_ == file_.size(), out));
  return true;
}

Status TextStream::Convert(std::string_view raw, bool last, std::string* out) {
  Converter& c = *converter_;
  const char* source = raw.data();
  char buffer[16384];
  for (;;) {
    char* target = buffer;
    UErrorCode error = U_ZERO_ERROR;
    ucnv_convertEx(c.to, c.from, &target, buffer + sizeof(buffer), &source, raw.data() + raw.size(), c.pivot,
                   &c.pivot_source, &c.pivot_target, c.pivot + std::size(c.pivot), /*reset=*/false, last,
                   &error);
    out->append(buffer, static_cast<size_t>(target - buffer));
    if (error == U_BUFFER_OVERFLOW_ERROR) continue;
    if (U_SUCCESS(error)) return absl::OkStatus();
    return absl::InvalidArgumentError(
        StrCat(path().string(), " is broken near byte ",
               offset_ - static_cast<uint64_t>(raw.data() + raw.size() - source), " (", u_errorName(error),
               "); save the file as UTF-8"));
  }
}

std::string TextStream::note() const {
  if (encoding_ == Encoding::kUtf8 || encoding_ == Encoding::kUtf8WithMark) return "";
  return StrCat(path().filename().string(), ": read as ", EncodingName(encoding_), " and converted to UTF-8");
}

}  // namespace ft::data
