// Cutting by a unigram language model (Kudo 2018, arXiv:1804.10959): of all ways to cut a text into tokens the one whose
// scores (log probabilities) add up to most, found by Viterbi's algorithm from left to right. Of equal ones the token
// that begins first wins, as in SentencePiece and Hugging Face's tokenizers, whose sums are rounded as theirs are.
//
// Sums run over the whole text, and their rounding grows with them. A word's tokens are remembered with their margin: by how much
// the best way to each of their ends beats the next best at least, whatever stands before the word. Where that is more than
// rounding can be at that place of the text, they are taken again; else the word is cut anew.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "worker/data/tokenizer/byte_trie.h"
#include "worker/data/tokenizer/seams.h"
#include "worker/data/tokenizer/subword_model.h"

namespace ft::tokenizer {

struct UnigramOptions {
  UnknownRule unknown;
  // Sums are rounded to float after each token: SentencePiece. Else they are doubles: tokenizers.
  bool single_precision = false;
  // Ids that are taken wherever their text stands: they gain a tenth a byte, whatever their score.
  std::vector<int32_t> user_defined;
};

// Immutable and thread-safe.
class UnigramModel final : public SubwordModel {
 public:
  // REQUIRES: a finite score an id, and an id of the vocabulary for unknown.unknown_id.
  static std::unique_ptr<UnigramModel> Make(Vocabulary vocabulary, std::vector<float> scores,
                                            UnigramOptions options);
  static std::unique_ptr<UnigramModel> Make(Vocabulary vocabulary, std::vector<double> scores,
                                            UnigramOptions options);

  void Encode(std::string_view text, SubwordScratch* scratch, std::vector<EncodedToken>* out) const override;
  std::optional<int32_t> Find(std::string_view bytes) const override;

 private:
  using PathNode = SubwordScratch::PathNode;
  // A part of a text between two seams.
  struct Segment {
    std::string_view text;  // From the beginning of the whole text to the end of the segment.
    size_t base = 0;        // Where the segment begins.
    bool takes = false;     // Whether the cache takes it, under this key.
    WordCache::Key key;
    Segment() = default;
    // The part [base, end) of the text.
    Segment(std::string_view whole, size_t base, size_t end)
        : text(whole.substr(0, end)), base(base), takes(WordCache::Takes(word())) {
      if (takes) key = WordCache::Key(word(), whole.size() - end);
    }
    std::string_view word() const { return text.substr(base); }
  };
  UnigramModel(Vocabulary vocabulary, std::vector<double> scores, UnigramOptions options);
  double Round(double sum) const { return options_.single_precision ? static_cast<float>(sum) : sum; }
  double Sum(double path, int32_t id) const {
    const double sum = path + scores_[static_cast<size_t>(id)];
    return is_user_defined_[static_cast<size_t>(id)] ? sum : Round(sum);
  }
  size_t Extend(const Segment& segment, size_t pos, PathNode* path) const;
  void FindPath(const Segment& segment, double before, std::vector<PathNode>* path) const;
  float RoundingOf(double before, size_t bytes) const;
  double EncodeSegment(const Segment& segment, double before, SubwordScratch* scratch,
                       std::vector<EncodedToken>* out) const;
  float Backtrack(const Segment& segment, SubwordScratch* scratch, std::vector<EncodedToken>* out) const;

  UnigramOptions options_;
  std::vector<double> scores_;            // What a token adds to a sum, by id.
  std::vector<uint8_t> is_user_defined_;  // By id; their sums are compared before they are rounded.
  double unknown_score_ = 0, best_score_ = 0;
  double word_bound_ = 0;  // What a word in the cache may add to a sum, without sign.
  ByteTrie trie_;
  Seams seams_;
};

}  // namespace ft::tokenizer
