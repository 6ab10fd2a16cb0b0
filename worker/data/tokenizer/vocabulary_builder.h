// Collects the tokens of a vocabulary file and refuses what cannot be one: ids outside the range, given
// twice, or far beyond the number of tokens; tokens given twice.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "core/base/status.h"
#include "worker/data/tokenizer/added_tokens.h"
#include "worker/data/tokenizer/bpe.h"

namespace ft::tokenizer {

// One thread. Errors name the file.
class VocabularyBuilder {
 public:
  // `tokens`: how many the file holds; ids may leave some unused between them.
  VocabularyBuilder(std::string file, size_t tokens);

  // A token of the model as it is written in the file, and the bytes it decodes to.
  Status AddPiece(int64_t id, const std::string& content, std::string bytes, bool in_model);
  // A token found in the text as it is. Its content may be a piece already, with the same id; else the id
  // must be free. `bytes`: what it decodes to when it is new.
  Status AddAdded(AddedToken token, std::string bytes);
  // A token that no text is read as and that may be spelled like a piece of the model. The id must be free.
  Status AddHidden(AddedToken token);
  // The id of a token as it is written in the file.
  std::optional<int32_t> Find(const std::string& content) const;
  // Makes a known token special, so that it is found in text and left out by skip_special. REQUIRES:
  // Find(content).
  Status MarkSpecial(const std::string& content);

  const std::string& file() const { return file_; }
  const AddedTokens& added() const { return added_; }
  size_t size() const { return vocabulary_.bytes.size(); }
  Vocabulary TakeVocabulary() { return std::move(vocabulary_); }
  AddedTokens TakeAdded() { return std::move(added_); }

 private:
  Status Fail(std::string_view what) const;
  Status CheckId(int64_t id, std::string_view content) const;
  std::string file_;
  int64_t max_id_;
  Vocabulary vocabulary_;
  std::unordered_map<std::string, int32_t> ids_;
  std::unordered_map<int32_t, std::string> contents_;
  AddedTokens added_;
};

// The rule "left and right become one token" between tokens as they are written in the file. INVALID_ARGUMENT
// names file and `where` when one of the three is not in the vocabulary.
StatusOr<BpeModel::Rule> MakeMergeRule(const VocabularyBuilder& builder, std::string_view where,
                                       const std::string& left, const std::string& right);

}  // namespace ft::tokenizer
