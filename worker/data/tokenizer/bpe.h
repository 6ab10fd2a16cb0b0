// Byte-pair encoding (Sennrich, Haddow and Birch 2016, arXiv:1508.07909): the pair of neighbours with the lowest rank is
// joined, the leftmost first, until no neighbours can be joined. Two kinds of rule: a list of pairs in order of rank
// (Hugging Face, GGUF), or any two neighbours whose bytes together are a token, ranked by its id (tiktoken) or by its
// score (SentencePiece). A word begins as its bytes, or as its characters.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "worker/data/tokenizer/byte_trie.h"
#include "worker/data/tokenizer/seams.h"
#include "worker/data/tokenizer/subword_model.h"

namespace ft::tokenizer {

struct BpeOptions {
  bool characters = false;         // A word begins as its characters, not as its bytes.
  bool whole_words_first = false;  // A word that is a token is not split, whatever the ranks.
  UnknownRule unknown;
  // Texts are not cut into words before: they are cut here, at the seams of the vocabulary, and where pieces of `fixed`
  // stand, which become their token and are joined with nothing.
  bool whole_texts = false;
  std::vector<int32_t> fixed;
};

// Immutable and thread-safe.
class BpeModel final : public SubwordModel {
 public:
  // `merges` by rank: two ids and the id they become. Of a pair given twice the later counts.
  struct Rule {
    int32_t left, right, merged;
  };
  static std::unique_ptr<BpeModel> FromMerges(Vocabulary vocabulary, const std::vector<Rule>& merges,
                                              BpeOptions options);
  // Every token of the model is a rule of rank id. REQUIRES: all 256 single bytes are tokens of the model.
  static std::unique_ptr<BpeModel> FromRanks(Vocabulary vocabulary);
  // Every token of the model is a rule; the higher its score, the sooner it is joined. REQUIRES: a finite score an id.
  static std::unique_ptr<BpeModel> FromScores(Vocabulary vocabulary, const std::vector<float>& scores,
                                              BpeOptions options);

  void Encode(std::string_view text, SubwordScratch* scratch, std::vector<EncodedToken>* out) const override;
  std::optional<int32_t> Find(std::string_view bytes) const override;

 private:
  struct Merge {
    uint32_t rank;
    int32_t merged_id;
  };
  BpeModel(Vocabulary vocabulary, BpeOptions options, bool by_pairs);
  void CutTexts();
  void EncodeText(std::string_view text, SubwordScratch* scratch, std::vector<EncodedToken>* out) const;
  // `base`: where the word stands in the text that the places count from.
  void EncodeCached(std::string_view word, uint32_t base, SubwordScratch* scratch,
                    std::vector<EncodedToken>* out) const;
  bool TakeWhole(std::string_view word, uint32_t base, std::vector<EncodedToken>* out) const;
  void EncodeWord(std::string_view word, uint32_t base, SubwordScratch* scratch,
                  std::vector<EncodedToken>* out) const;
  void MakeSymbols(std::string_view word, std::vector<SubwordScratch::Symbol>* symbols) const;
  std::optional<Merge> FindMerge(const SubwordScratch::Symbol& left, const SubwordScratch::Symbol& right,
                                 std::string_view word) const;
  void PushCandidate(std::string_view word, int32_t left, SubwordScratch* scratch) const;
  void MergeAll(std::string_view word, SubwordScratch* scratch) const;

  BpeOptions options_;
  bool by_pairs_;
  size_t longest_ = 0;                                  // Bytes of the model's longest token.
  std::array<int32_t, 256> byte_ids_;                   // -1 = that byte has no token.
  absl::flat_hash_map<std::string_view, int32_t> ids_;  // Keys point into the vocabulary.
  absl::flat_hash_map<uint64_t, Merge> merges_;         // Key: left id, right id. Of rules that are pairs.
  std::vector<uint32_t> ranks_;                         // By id; empty = the id is the rank.
  Seams seams_;                                         // Of whole_texts.
  ByteTrie fixed_;
};

}  // namespace ft::tokenizer
