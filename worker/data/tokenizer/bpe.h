// Byte-pair encoding of one word: the pair of neighbours with the lowest rank is joined, the leftmost first,
// until no neighbours can be joined. Two kinds of rule: a list of pairs in order of rank (Hugging Face,
// GGUF), or any two neighbours whose bytes together are a token, ranked by its id (tiktoken).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/status.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::tokenizer {

// The tokens by id.
struct BpeVocabulary {
  std::vector<std::string> bytes;  // What the id decodes to; empty for an id that is not used.
  std::vector<uint8_t> in_model;   // 1 = text may become this token; 0 = only an added token's match may.
  // Grows both lists so that id exists.
  void Reserve(int32_t id);
};

struct BpeOptions {
  bool whole_words_first = false;  // A word that is a token is not split, whatever the ranks.
  int32_t unknown_id = -1;  // For a byte without a token; -1 = such bytes are left out, as the originals do.
  bool fuse_unknown = false;  // Neighbouring unknown bytes become one token.
};

// Buffers that one thread reuses from word to word.
struct BpeScratch {
  struct Symbol {
    int32_t id, previous, next;
    uint32_t begin, end;
  };
  struct Candidate {
    uint32_t rank;
    int32_t left, right, left_id, right_id, merged_id;
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

// Immutable and thread-safe. Movable; views into itself forbid copies.
class BpeModel {
 public:
  // `merges` by rank: two ids and the id they become. Of a pair given twice the later counts.
  struct Rule {
    int32_t left, right, merged;
  };
  static BpeModel FromMerges(BpeVocabulary vocabulary, const std::vector<Rule>& merges,
                             const BpeOptions& options);
  // Every token of the model is a rule of rank id. REQUIRES: all 256 single bytes are tokens of the model.
  static BpeModel FromRanks(BpeVocabulary vocabulary);
  BpeModel(BpeModel&&) = default;
  BpeModel& operator=(BpeModel&&) = default;
  BpeModel(const BpeModel&) = delete;
  BpeModel& operator=(const BpeModel&) = delete;

  // Appends the word's tokens with their places in it. n log n in the word's length.
  void Encode(std::string_view word, BpeScratch* scratch, std::vector<EncodedToken>* out) const;

  int32_t size() const { return static_cast<int32_t>(vocabulary_.bytes.size()); }
  // What an id decodes to; empty outside the vocabulary.
  std::string_view bytes(int32_t id) const;
  // The model's token for exactly these bytes.
  std::optional<int32_t> Find(std::string_view bytes) const;

 private:
  struct Merge {
    uint32_t rank;
    int32_t merged_id;
  };
  BpeModel(BpeVocabulary vocabulary, const BpeOptions& options, bool by_rank);
  void SplitIntoBytes(std::string_view word, std::vector<BpeScratch::Symbol>* symbols) const;
  std::optional<Merge> FindMerge(const BpeScratch::Symbol& left, const BpeScratch::Symbol& right,
                                 std::string_view word) const;
  void PushCandidate(std::string_view word, int32_t left, BpeScratch* scratch) const;
  void MergeAll(std::string_view word, BpeScratch* scratch) const;

  BpeVocabulary vocabulary_;
  BpeOptions options_;
  bool by_rank_;
  size_t longest_ = 0;                                 // Bytes of the model's longest token.
  std::array<int32_t, 256> byte_ids_;                  // -1 = that byte has no token.
  std::unordered_map<std::string_view, int32_t> ids_;  // Keys point into vocabulary_.
  absl::flat_hash_map<uint64_t, Merge> merges_;        // Key: left id, right id.
};

}  // namespace ft::tokenizer
