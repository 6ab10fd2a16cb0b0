// Text to token ids and back, for every kind of vocabulary file that a model folder may hold.
//
//   ASSIGN_OR_RETURN(auto tokenizer, tokenizer::OpenTokenizer(model_folder));
//   ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer->Encode("Hello"));
//
// A vocabulary inside a GGUF file: gguf_vocabulary.h. Ids are those of the original implementations (Hugging
// Face tokenizers, tiktoken); the tests compare with them string by string.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace ft::tokenizer {

// The most ids a vocabulary may have.
inline constexpr int32_t kMaxVocabulary = 1 << 24;
// The longest text that Encode takes.
inline constexpr size_t kMaxTextBytes = size_t{1} << 30;

struct EncodeOptions {
  bool parse_special =
      true;  // "<|im_end|>" in the text becomes its id; false = it is spelled out like other text.
  bool add_bos = false;  // bos_ids() in front, if there are any.
  // BOS in the text becomes its ids where it is of several ids, which no tokenizer reads out of a text by itself.
  bool parse_bos = false;
};

struct DecodeOptions {
  bool skip_special = false;  // Leave out special tokens such as <|im_end|>.
  bool continues = false;     // Other ids stand before these: a space in front of the first one stays.
};

// A token and the bytes [begin, end) of the given text that it stands for. A character split over several
// tokens gives each its own bytes; where Unicode normalisation changed the text, tokens share the bytes they
// were made from.
struct EncodedToken {
  int32_t id = 0;
  uint32_t begin = 0;
  uint32_t end = 0;
  bool operator==(const EncodedToken&) const = default;
};

// What a vocabulary says about itself beside its tokens. Ids are -1 where there is none.
struct TokenizerTraits {
  int32_t vocab_size = 0;  // Largest id + 1, added tokens included.
  int32_t bos_id = -1;
  std::vector<int32_t> bos_ids;  // What stands in front of a text: ChatGLM's two ids; empty = bos_id.
  int32_t eos_id = -1;
  int32_t pad_id = -1;
  int32_t unk_id = -1;
  bool adds_bos = false;      // The original puts BOS in front when asked for special tokens.
  std::string chat_template;  // Jinja source; empty = none.
};

// Immutable and thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // INVALID_ARGUMENT when the text is not UTF-8 (naming the byte) or longer than kMaxTextBytes. Time grows as
  // n log n in the length of the longest word, whatever the text.
  virtual StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                                const EncodeOptions& options = {}) const = 0;
  virtual StatusOr<std::vector<EncodedToken>> EncodeWithOffsets(std::string_view text,
                                                                const EncodeOptions& options = {}) const = 0;

  // The bytes of the tokens, one after the other; they may end inside a character (see Utf8Streamer). Ids
  // outside the vocabulary add nothing. Vocabularies that put a space in front of every text take it away again.
  virtual std::string Decode(std::span<const int32_t> ids, const DecodeOptions& options = {}) const = 0;

  // The token that decodes to exactly these bytes, special ones first.
  virtual std::optional<int32_t> TokenId(std::string_view piece) const = 0;
  virtual bool is_special(int32_t id) const = 0;

  const TokenizerTraits& traits() const { return traits_; }
  int32_t vocab_size() const { return traits_.vocab_size; }
  int32_t bos_id() const { return traits_.bos_id; }
  const std::vector<int32_t>& bos_ids() const { return traits_.bos_ids; }
  int32_t eos_id() const { return traits_.eos_id; }
  int32_t pad_id() const { return traits_.pad_id; }
  bool adds_bos() const { return traits_.adds_bos; }
  const std::string& chat_template() const { return traits_.chat_template; }

 protected:
  explicit Tokenizer(TokenizerTraits traits) : traits_(std::move(traits)) {
    if (traits_.bos_ids.empty() && traits_.bos_id >= 0) traits_.bos_ids = {traits_.bos_id};
  }

 private:
  TokenizerTraits traits_;
};

// Reads the vocabulary of a folder in Hugging Face layout: tokenizer.json, else qwen.tiktoken, else
// tokenizer.model (SentencePiece's, or a tiktoken file), else vocab.json with merges.txt; tokenizer_config.json,
// special_tokens_map.json, added_tokens.json and chat_template.jinja beside it where they exist. NOT_FOUND
// when there is no vocabulary; INVALID_ARGUMENT names file and key, also for parts of a tokenizer that are
// not supported.
//
// `rows`: how many ids the model has rows for. Tokens that were added to the vocabulary beyond them and that
// nothing needs (a
// "[PAD]" of some training script) do not become tokens: text that spells them is spelled out.
// INVALID_ARGUMENT names one that something needs: bos_token, eos_token, or the chat template.
//
// `eos_token`: takes the place of the one that the files name; empty = theirs.
StatusOr<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::filesystem::path& model_folder,
                                                   int64_t rows = kMaxVocabulary,
                                                   std::string_view eos_token = "");

}  // namespace ft::tokenizer
