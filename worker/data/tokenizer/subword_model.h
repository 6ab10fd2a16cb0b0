// What cuts words into tokens: byte-pair encoding (bpe.h) or a unigram language model (unigram.h).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/word_cache.h"

namespace ft::tokenizer {

// The tokens by id.
struct Vocabulary {
  std::vector<std::string>
      bytes;  // What the text must hold to become the id; empty for an id that is not used.
  std::vector<uint8_t> in_model;  // 1 = text may become this token; 0 = only an added token's match may.
  // Grows both lists so that id exists.
  void Reserve(int32_t id);
};

// What becomes of a character that no token spells.
struct UnknownRule {
  int32_t unknown_id = -1;  // -1 = it is left out, as the originals do.
  bool fuse = false;        // Neighbouring unknown characters become one token.
  // The tokens of single bytes that it is written with; -1 = there is none. Where one of a character's bytes has none, it
  // becomes unknown_id.
  std::optional<std::array<int32_t, 256>> byte_tokens;

  // Appends the tokens of a character that stands at `begin`. Tokens before (*out)[first] are of another text.
  void Append(std::string_view character, uint32_t begin, size_t first, std::vector<EncodedToken>* out) const;
};

// Buffers that one thread reuses from word to word and from text to text.
struct SubwordScratch {
  struct Symbol {
    int32_t id, previous, next;
    uint32_t begin, end;
  };
  struct Candidate {
    uint32_t rank;
    int32_t left, right, left_id, right_id, merged_id;
  };
  struct PathNode {
    double score;
    int32_t id;
    uint32_t begin;  // Of the token that ends here.
    float margin;    // By how much it beats the next best.
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  std::vector<PathNode> path;
  WordCache cache;
  size_t first = 0;  // Of the tokens that the text at hand has so far.
};

// Immutable and thread-safe.
class SubwordModel {
 public:
  virtual ~SubwordModel() = default;
  SubwordModel(const SubwordModel&) = delete;
  SubwordModel& operator=(const SubwordModel&) = delete;

  // Appends the text's tokens with their places in it. n log n in the length of its longest word.
  virtual void Encode(std::string_view text, SubwordScratch* scratch,
                      std::vector<EncodedToken>* out) const = 0;
  // The model's token for exactly these bytes.
  virtual std::optional<int32_t> Find(std::string_view bytes) const = 0;

  int32_t size() const { return static_cast<int32_t>(vocabulary_.bytes.size()); }
  // What an id stands for; empty outside the vocabulary.
  std::string_view bytes(int32_t id) const {
    if (id < 0 || id >= size()) return {};
    return vocabulary_.bytes[static_cast<size_t>(id)];
  }

 protected:
  explicit SubwordModel(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
};

}  // namespace ft::tokenizer
