// What is done to a text before it is cut: Unicode forms, replaced and prepended text, SentencePiece's rules; with
// the way back, so that tokens know which bytes of the source they were made from.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/base/status.h"
#include "worker/data/tokenizer/regex.h"
#include "worker/data/tokenizer/sentencepiece_normalizer.h"
#include "worker/data/tokenizer/text_places.h"

namespace ft::tokenizer {

enum class Normalization { kNone, kNfc, kNfd, kNfkc, kNfkd };

// Text in front of every piece that is not empty.
struct PrependText {
  std::string text;
};
// Every occurrence of a pattern is replaced; a pattern of Hugging Face's kind String is a literal.
struct ReplaceText {
  std::string literal;  // Empty = the pattern counts.
  std::shared_ptr<Regex> pattern;
  std::string content;
};

// Immutable once built; then thread-safe.
class Normalizer {
 public:
  using Step = std::variant<Normalization, PrependText, ReplaceText, SentencePieceNormalizer>;
  Normalizer() = default;
  explicit Normalizer(Normalization form) {
    if (form != Normalization::kNone) steps_.emplace_back(form);
  }
  void Add(Step step) { steps_.push_back(std::move(step)); }
  bool empty() const { return steps_.empty(); }
  const std::vector<Step>& steps() const { return steps_; }

  // The text after all steps, one after the other. Without `places` the way back is left out. REQUIRES: source
  // is UTF-8 of at most 1 GiB. RESOURCE_EXHAUSTED when the text would become longer than LongestChange.
  StatusOr<NormalizedText> Apply(std::string_view source, bool places) const;

 private:
  std::vector<Step> steps_;
};

}  // namespace ft::tokenizer
