#include "worker/data/tokenizer/sentencepiece_normalizer.h"

#include <cstdint>

#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

// Writes pieces of text and where each comes from.
class Writer {
 public:
  Writer(const SentencePieceNormalizer& rules, std::string* out, OffsetMap* map)
      : space_(rules.escape_whitespaces ? kSpaceMark : " "),
        escapes_(rules.escape_whitespaces),
        out_(out),
        map_(map) {}

  void Space(size_t source_begin, size_t source_end) { Replace(space_, source_begin, source_end); }
  void Replace(std::string_view text, size_t source_begin, size_t source_end) {
    if (map_ != nullptr)
      map_->Add({Place(), static_cast<uint32_t>(source_begin), static_cast<uint32_t>(source_end), true});
    out_->append(text);
  }
  // Text without a space, as it stands at source_begin.
  void Copy(std::string_view text, size_t source_begin) {
    if (text.empty()) return;
    if (map_ != nullptr)
      map_->Add({Place(), static_cast<uint32_t>(source_begin),
                 static_cast<uint32_t>(source_begin + text.size()), false});
    out_->append(text);
  }
  // Text that stands for source bytes [begin, end), its spaces written as marks.
  void Mapped(std::string_view text, size_t begin, size_t end) {
    for (const char c : text) {
      if (escapes_ && c == ' ') {
        Space(begin, end);
      } else {
        Replace({&c, 1}, begin, end);
      }
    }
  }
  void TrimEnd() {
    while (out_->ends_with(space_)) out_->resize(out_->size() - space_.size());
  }

 private:
  uint32_t Place() const { return static_cast<uint32_t>(out_->size()); }
  std::string_view space_;
  bool escapes_;
  std::string* out_;
  OffsetMap* map_;
};

// What stands at a place of the text and what is written instead of it.
struct Prefix {
  std::string_view text;
  size_t length = 0;  // In the source.
};

Prefix NextPrefix(const SentencePieceNormalizer& rules, std::string_view source, size_t pos) {
  if (rules.user_defined != nullptr) {
    const size_t length = rules.user_defined->Longest(source, pos).length;
    if (length > 0) return {source.substr(pos, length), length};
  }
  if (rules.charsmap != nullptr) {
    const Charsmap::Match match = rules.charsmap->Longest(source, pos);
    if (match.length > 0) return {match.replacement, match.length};
  }
  const size_t length = ReadKnownUtf8(source, pos).length;
  return {source.substr(pos, length), length};
}

// Whether nothing but the character at pos itself can be written for it: a quick answer, for most characters the right one.
bool SurelyStays(const SentencePieceNormalizer& rules, std::string_view source, size_t pos) {
  return source[pos] != ' ' && (rules.charsmap == nullptr || !rules.charsmap->MayBeginAt(source, pos)) &&
         (rules.user_defined == nullptr || !rules.user_defined->MayBeginWith(source[pos]));
}

// The usual case: every character stays, spaces are marked.
void MarkSpaces(std::string_view source, Writer& writer) {
  size_t done = 0;
  for (size_t space = source.find(' '); space != std::string_view::npos; space = source.find(' ', done)) {
    writer.Copy(source.substr(done, space - done), done);
    writer.Space(space, space + 1);
    done = space + 1;
  }
  writer.Copy(source.substr(done), done);
}

Status ApplyRules(const SentencePieceNormalizer& rules, std::string_view source, size_t pos, std::string* out,
                  Writer& writer) {
  const size_t most = LongestChange(source.size());
  bool after_space = rules.remove_extra_whitespaces;
  size_t copied = pos;  // What lies from here to pos stays as it is.
  while (pos < source.size()) {
    if (SurelyStays(rules, source, pos)) {
      pos += ReadKnownUtf8(source, pos).length;
      after_space = false;
      continue;
    }
    const Prefix prefix = NextPrefix(rules, source, pos);
    const bool stays =
        prefix.text.data() == source.data() + pos && prefix.text.find(' ') == std::string_view::npos;
    if (stays) {
      pos += prefix.length;
      after_space = false;
      continue;
    }
    writer.Copy(source.substr(copied, pos - copied), copied);
    std::string_view text = prefix.text;
    while (after_space && text.starts_with(' ')) text.remove_prefix(1);
    if (out->size() + 3 * text.size() > most) {
      return absl::ResourceExhaustedError(
          StrCat("a text grows beyond ", most, " bytes under the normaliser of its SentencePiece model"));
    }
    writer.Mapped(text, pos, pos + prefix.length);
    if (!text.empty()) after_space = text.ends_with(' ');
    after_space = after_space && rules.remove_extra_whitespaces;
    pos += prefix.length;
    copied = pos;
  }
  writer.Copy(source.substr(copied, pos - copied), copied);
  if (rules.remove_extra_whitespaces) writer.TrimEnd();
  return absl::OkStatus();
}

}  // namespace

StatusOr<bool> SentencePieceNormalizer::Apply(std::string_view source, std::string* out,
                                              OffsetMap* map) const {
  if (source.empty()) return false;
  Writer writer(*this, out, map);
  out->reserve(source.size() + source.size() / 2 + kSpaceMark.size());
  size_t pos = 0;
  while (remove_extra_whitespaces && pos < source.size()) {
    const Prefix prefix = NextPrefix(*this, source, pos);
    if (prefix.text != " ") break;
    pos += prefix.length;
  }
  if (pos == source.size()) return true;
  if (add_dummy_prefix) writer.Space(pos, pos);
  if (charsmap == nullptr && !remove_extra_whitespaces) {
    if (!escape_whitespaces) {
      writer.Copy(source, 0);
    } else {
      MarkSpaces(source, writer);
    }
    return true;
  }
  RETURN_IF_ERROR(ApplyRules(*this, source, pos, out, writer));
  if (charsmap != nullptr && FirstInvalidUtf8(*out)) {
    return absl::InvalidArgumentError(
        "the normaliser of the SentencePiece model breaks characters; copy or download tokenizer.model "
        "again");
  }
  return true;
}

}  // namespace ft::tokenizer
