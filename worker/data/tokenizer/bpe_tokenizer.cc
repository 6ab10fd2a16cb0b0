#include "worker/data/tokenizer/bpe_tokenizer.h"

#include <tuple>
#include <utility>

#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

// Each stage appends tokens with places in its own text; the stage above maps those from `first` on to its
// text.
template <typename Map>
void MapPlaces(size_t first, std::vector<EncodedToken>* tokens, Map map) {
  for (size_t i = first; i < tokens->size(); ++i) map(&(*tokens)[i]);
}

void Shift(size_t first, size_t by, std::vector<EncodedToken>* tokens) {
  MapPlaces(first, tokens, [by](EncodedToken* token) {
    token->begin += static_cast<uint32_t>(by);
    token->end += static_cast<uint32_t>(by);
  });
}

void MapToSource(const OffsetMap& map, size_t first, std::vector<EncodedToken>* tokens) {
  if (map.empty()) return;
  MapPlaces(first, tokens, [&map](EncodedToken* token) {
    std::tie(token->begin, token->end) = map.Source(token->begin, token->end);
  });
}

class BpeTokenizer final : public Tokenizer {
 public:
  BpeTokenizer(BpeParts parts, TokenizerTraits traits)
      : Tokenizer(std::move(traits)), parts_(std::move(parts)) {}

  StatusOr<std::vector<EncodedToken>> EncodeWithOffsets(std::string_view text,
                                                        const EncodeOptions& options) const override {
    if (text.size() > kMaxTextBytes) {
      return absl::InvalidArgumentError(StrCat("a text of ", text.size(), " bytes is longer than the ",
                                               kMaxTextBytes, " that one call encodes"));
    }
    if (const std::optional<size_t> broken = FirstInvalidUtf8(text)) {
      return absl::InvalidArgumentError(StrCat("the text is not UTF-8 at byte ", *broken));
    }
    std::vector<EncodedToken> tokens;
    if (options.add_bos && bos_id() >= 0) tokens.push_back({bos_id(), 0, 0});
    BpeScratch scratch;
    Output out{&tokens, &scratch};
    if (!parts_.normalize_whole) {
      RETURN_IF_ERROR(EncodeText(text, options, out));
      return tokens;
    }
    const size_t first = tokens.size();
    ASSIGN_OR_RETURN(const NormalizedText normal, Normalize(parts_.normalization, text));
    RETURN_IF_ERROR(EncodeText(normal.view(text), options, out));
    MapToSource(normal.map, first, &tokens);
    return tokens;
  }

  std::string Decode(std::span<const int32_t> ids, const DecodeOptions& options) const override {
    std::string text;
    for (const int32_t id : ids) {
      if (options.skip_special && is_special(id)) continue;
      text.append(parts_.model.bytes(id));
    }
    return text;
  }

  std::optional<int32_t> TokenId(std::string_view piece) const override {
    if (const AddedToken* token = parts_.added.Find(piece)) return token->id;
    return parts_.model.Find(piece);
  }

  bool is_special(int32_t id) const override {
    const AddedToken* token = parts_.added.FindId(id);
    return token != nullptr && token->special;
  }

 private:
  struct Output {
    std::vector<EncodedToken>* tokens;
    BpeScratch* scratch;
  };

  // Cuts at added tokens and gives the text between them to `encode`.
  template <typename EncodePart>
  Status SplitAtAdded(std::string_view text, bool normalized, const EncodeOptions& options, const Output& out,
                      EncodePart encode) const {
    for (const AddedTokens::Part& part : parts_.added.Split(text, normalized, options.parse_special)) {
      const size_t first = out.tokens->size();
      if (part.token != nullptr) {
        out.tokens->push_back({part.token->id, 0, static_cast<uint32_t>(part.end - part.begin)});
      } else {
        RETURN_IF_ERROR(encode(text.substr(part.begin, part.end - part.begin)));
      }
      Shift(first, part.begin, out.tokens);
    }
    return absl::OkStatus();
  }

  Status EncodeText(std::string_view text, const EncodeOptions& options, const Output& out) const {
    return SplitAtAdded(text, /*normalized=*/false, options, out,
                        [&](std::string_view part) { return EncodeBetween(part, options, out); });
  }

  Status EncodeBetween(std::string_view text, const EncodeOptions& options, const Output& out) const {
    const size_t first = out.tokens->size();
    const Normalization form = parts_.normalize_whole ? Normalization::kNone : parts_.normalization;
    ASSIGN_OR_RETURN(const NormalizedText normal, Normalize(form, text));
    RETURN_IF_ERROR(SplitAtAdded(normal.view(text), /*normalized=*/true, options, out,
                                 [&](std::string_view part) { return EncodePiece(part, out); }));
    MapToSource(normal.map, first, out.tokens);
    return absl::OkStatus();
  }

  Status EncodePiece(std::string_view piece, const Output& out) const {
    if (!parts_.add_prefix_space || piece.starts_with(' ')) return EncodeWords(piece, out);
    const size_t first = out.tokens->size();
    RETURN_IF_ERROR(EncodeWords(" " + std::string(piece), out));
    MapPlaces(first, out.tokens, [](EncodedToken* token) {
      token->begin -= token->begin > 0 ? 1 : 0;
      token->end -= token->end > 0 ? 1 : 0;
    });
    return absl::OkStatus();
  }

  Status EncodeWords(std::string_view piece, const Output& out) const {
    std::vector<std::string_view> words;
    RETURN_IF_ERROR(parts_.pre_tokenizer.Split(piece, &words));
    for (const std::string_view word : words) {
      const size_t first = out.tokens->size();
      parts_.model.Encode(word, out.scratch, out.tokens);
      Shift(first, static_cast<size_t>(word.data() - piece.data()), out.tokens);
    }
    return absl::OkStatus();
  }

  BpeParts parts_;
};

}  // namespace

std::unique_ptr<Tokenizer> MakeBpeTokenizer(BpeParts parts, TokenizerTraits traits) {
  return std::make_unique<BpeTokenizer>(std::move(parts), std::move(traits));
}

}  // namespace ft::tokenizer
