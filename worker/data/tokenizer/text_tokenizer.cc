#include "worker/data/tokenizer/text_tokenizer.h"

#include <mutex>
#include <optional>
#include <string_view>

#include "core/base/check.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

struct Scratch {
  SubwordScratch subwords;
  PreTokenizer::Scratch words;
  bool is_small() const {
    constexpr size_t kMost = 1 << 16;
    return subwords.symbols.capacity() < kMost && subwords.heap.capacity() < kMost &&
           subwords.path.capacity() < kMost && words.words.capacity() < kMost &&
           words.next.capacity() < kMost;
  }
};

// Scratches of the threads that are encoding or have done so. Each lasts from one text to the next, with what it remembers,
// unless a long text made it large.
class ScratchPool {
 public:
  std::unique_ptr<Scratch> Take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) return std::make_unique<Scratch>();
    std::unique_ptr<Scratch> taken = std::move(free_.back());
    free_.pop_back();
    return taken;
  }
  void GiveBack(std::unique_ptr<Scratch> scratch) {
    if (!scratch->is_small()) return;
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
};

void Shift(size_t first, size_t by, std::vector<EncodedToken>* tokens) {
  if (by == 0) return;
  for (size_t i = first; i < tokens->size(); ++i) {
    (*tokens)[i].begin += static_cast<uint32_t>(by);
    (*tokens)[i].end += static_cast<uint32_t>(by);
  }
}

// One text on its way to tokens. Each stage appends tokens with places in its own text; the stage above maps those to
// its text.
class Encoding {
 public:
  Encoding(const TokenizerParts& parts, const EncodeOptions& options, bool places, Scratch* scratch,
           std::vector<EncodedToken>* out)
      : parts_(parts), options_(options), places_(places), scratch_(scratch), out_(out) {}

  Status EncodeWhole(std::string_view text) {
    if (!parts_.normalize_whole) return EncodeText(text);
    const size_t first = out_->size();
    ASSIGN_OR_RETURN(const NormalizedText normal, parts_.normalizer.Apply(text, places_));
    RETURN_IF_ERROR(EncodeText(normal.view(text)));
    normal.MapToSource(first, out_);
    return absl::OkStatus();
  }

 private:
  // Cuts at added tokens and gives the text between them to `encode` with its place.
  template <typename EncodePart>
  Status SplitAtAdded(std::string_view text, bool normalized, EncodePart encode) {
    if (!parts_.added.any(normalized)) return encode(text, 0);
    for (const AddedTokens::Part& part : parts_.added.Split(text, normalized, options_.parse_special)) {
      const size_t first = out_->size();
      if (part.token != nullptr) {
        out_->push_back({part.token->id, 0, static_cast<uint32_t>(part.end - part.begin)});
      } else {
        RETURN_IF_ERROR(encode(text.substr(part.begin, part.end - part.begin), part.begin));
      }
      Shift(first, part.begin, out_);
    }
    return absl::OkStatus();
  }

  Status EncodeText(std::string_view text) {
    return SplitAtAdded(text, /*normalized=*/false, [this](std::string_view part, size_t place) {
      if (parts_.normalize_whole || parts_.normalizer.empty()) return EncodeBetween(part, place == 0);
      const size_t first = out_->size();
      ASSIGN_OR_RETURN(const NormalizedText normal, parts_.normalizer.Apply(part, places_));
      RETURN_IF_ERROR(EncodeBetween(normal.view(part), place == 0));
      normal.MapToSource(first, out_);
      return absl::OkStatus();
    });
  }

  Status EncodeBetween(std::string_view text, bool is_first) {
    return SplitAtAdded(text, /*normalized=*/true, [this, is_first](std::string_view piece, size_t place) {
      return EncodePiece(piece, is_first && place == 0);
    });
  }

  Status EncodePiece(std::string_view piece, bool is_first) {
    const PieceMark& mark = parts_.mark;
    if (mark.text.empty() || piece.empty()) return EncodeWords(piece);
    Normalizer change;
    if (mark.marks_spaces) change.Add(ReplaceText{.literal = " ", .content = mark.text});
    const bool begins_so = piece.starts_with(mark.text) || (mark.marks_spaces && piece.starts_with(' '));
    if (mark.prepends && !begins_so && (is_first || !mark.first_only)) change.Add(PrependText{mark.text});
    const size_t first = out_->size();
    ASSIGN_OR_RETURN(const NormalizedText marked, change.Apply(piece, places_));
    RETURN_IF_ERROR(EncodeWords(marked.view(piece)));
    marked.MapToSource(first, out_);
    return absl::OkStatus();
  }

  Status EncodeWords(std::string_view piece) {
    if (parts_.pre_tokenizer.empty()) {
      parts_.model->Encode(piece, &scratch_->subwords, out_);
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(parts_.pre_tokenizer.Split(piece, &scratch_->words));
    for (const std::string_view word : scratch_->words.words) {
      const size_t first = out_->size();
      parts_.model->Encode(word, &scratch_->subwords, out_);
      Shift(first, static_cast<size_t>(word.data() - piece.data()), out_);
    }
    return absl::OkStatus();
  }

  const TokenizerParts& parts_;
  const EncodeOptions& options_;
  bool places_;
  Scratch* scratch_;
  std::vector<EncodedToken>* out_;
};

class TextTokenizer final : public Tokenizer {
 public:
  TextTokenizer(TokenizerParts parts, TokenizerTraits traits)
      : Tokenizer(std::move(traits)), parts_(std::move(parts)) {
    FT_CHECK(parts_.model != nullptr);
    bos_text_ = Decode(bos_ids(), {});
  }

  StatusOr<std::vector<int32_t>> Encode(std::string_view text, const EncodeOptions& options) const override {
    ASSIGN_OR_RETURN(const std::vector<EncodedToken> tokens, EncodeAny(text, options, /*places=*/false));
    std::vector<int32_t> ids(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) ids[i] = tokens[i].id;
    return ids;
  }

  StatusOr<std::vector<EncodedToken>> EncodeWithOffsets(std::string_view text,
                                                        const EncodeOptions& options) const override {
    return EncodeAny(text, options, /*places=*/true);
  }

  std::string Decode(std::span<const int32_t> ids, const DecodeOptions& options) const override {
    std::string text;
    bool strips = parts_.decoder.strips_first_space && !options.continues;
    for (const int32_t id : ids) {
      if (options.skip_special && is_special(id)) continue;
      AppendToken(id, strips, &text);
      strips = false;
    }
    return text;
  }

  std::optional<int32_t> TokenId(std::string_view piece) const override {
    if (const AddedToken* token = parts_.added.Find(piece)) return token->id;
    if (!parts_.decoder.space_marks) return parts_.model->Find(piece);
    std::string marked;
    for (const char c : piece) c == ' ' ? marked.append(kSpaceMark) : marked.append(1, c);
    return parts_.model->Find(marked);
  }

  bool is_special(int32_t id) const override {
    const AddedToken* token = parts_.added.FindId(id);
    return token != nullptr && token->special;
  }

 private:
  StatusOr<std::vector<EncodedToken>> EncodeAny(std::string_view text, const EncodeOptions& options,
                                                bool places) const {
    if (text.size() > kMaxTextBytes) {
      return absl::InvalidArgumentError(StrCat("a text of ", text.size(), " bytes is longer than the ",
                                               kMaxTextBytes, " that one call encodes"));
    }
    if (const std::optional<size_t> broken = FirstInvalidUtf8(text)) {
      return absl::InvalidArgumentError(StrCat("the text is not UTF-8 at byte ", *broken));
    }
    std::vector<EncodedToken> tokens;
    tokens.reserve(text.size() / 4 + 4);
    if (options.add_bos) AppendBos(0, 0, &tokens);
    std::unique_ptr<Scratch> scratch = pool_.Take();
    const Status status =
        EncodeAtBos(text, options, Encoding(parts_, options, places, scratch.get(), &tokens), &tokens);
    pool_.GiveBack(std::move(scratch));
    RETURN_IF_ERROR(status);
    return tokens;
  }

  // Several ids of BOS are never read out of a text but by this option.
  Status EncodeAtBos(std::string_view text, const EncodeOptions& options, Encoding encoding,
                     std::vector<EncodedToken>* tokens) const {
    if (!options.parse_bos || bos_ids().size() < 2) return encoding.EncodeWhole(text);
    for (size_t done = 0; done < text.size();) {
      const size_t bos = std::min(text.find(bos_text_, done), text.size());
      const size_t first = tokens->size();
      RETURN_IF_ERROR(encoding.EncodeWhole(text.substr(done, bos - done)));
      Shift(first, done, tokens);
      if (bos == text.size()) break;
      done = bos + bos_text_.size();
      AppendBos(bos, done, tokens);
    }
    return absl::OkStatus();
  }

  void AppendBos(size_t begin, size_t end, std::vector<EncodedToken>* tokens) const {
    for (const int32_t id : bos_ids())
      tokens->push_back({id, static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
  }

  void AppendToken(int32_t id, bool strips, std::string* text) const {
    const Decoder& decoder = parts_.decoder;
    const auto index = static_cast<size_t>(id);
    if (id >= 0 && index < decoder.bytes.size() && decoder.bytes[index] >= 0) {
      text->push_back(static_cast<char>(decoder.bytes[index]));
      return;
    }
    std::string_view bytes = parts_.model->bytes(id);
    if (!decoder.space_marks || parts_.added.FindId(id) != nullptr) {
      text->append(bytes);
      return;
    }
    if (strips && bytes.starts_with(kSpaceMark)) bytes.remove_prefix(kSpaceMark.size());
    for (size_t mark = bytes.find(kSpaceMark); mark != std::string_view::npos;
         mark = bytes.find(kSpaceMark)) {
      text->append(bytes.substr(0, mark)).push_back(' ');
      bytes.remove_prefix(mark + kSpaceMark.size());
    }
    text->append(bytes);
  }

  TokenizerParts parts_;
  std::string bos_text_;
  mutable ScratchPool pool_;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeTextTokenizer(TokenizerParts parts, TokenizerTraits traits) {
  return std::make_unique<TextTokenizer>(std::move(parts), std::move(traits));
}

}  // namespace ft::tokenizer
