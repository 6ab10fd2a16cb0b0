#include "worker/data/tokenizer/vocabulary_builder.h"

#include <algorithm>

#include "core/base/check.h"
#include "worker/data/tokenizer/tokenizer.h"

namespace ft::tokenizer {
namespace {

// Room for ids that published vocabularies leave unused.
constexpr int64_t kUnusedIds = 65'536;

}  // namespace

VocabularyBuilder::VocabularyBuilder(std::string file, size_t tokens)
    : file_(std::move(file)),
      max_id_(std::min<int64_t>(kMaxVocabulary - 1, 2 * static_cast<int64_t>(tokens) + kUnusedIds)) {
  ids_.reserve(tokens);
  contents_.reserve(tokens);
}

Status VocabularyBuilder::Fail(std::string_view what) const {
  return absl::InvalidArgumentError(StrCat(file_, ": ", what));
}

Status VocabularyBuilder::CheckId(int64_t id, std::string_view content) const {
  if (id >= 0 && id <= max_id_) return absl::OkStatus();
  return Fail(StrCat("token \"", content, "\" has the id ", id, ", outside 0 to ", max_id_));
}

Status VocabularyBuilder::AddPiece(int64_t id, const std::string& content, std::string bytes, bool in_model) {
  RETURN_IF_ERROR(CheckId(id, content));
  const auto small_id = static_cast<int32_t>(id);
  if (!ids_.emplace(content, small_id).second) return Fail(StrCat("token \"", content, "\" is given twice"));
  const auto [known, inserted] = contents_.emplace(small_id, content);
  if (!inserted)
    return Fail(StrCat("id ", id, " is given to two tokens, \"", known->second, "\" and \"", content, "\""));
  vocabulary_.Reserve(small_id);
  vocabulary_.bytes[static_cast<size_t>(small_id)] = std::move(bytes);
  vocabulary_.in_model[static_cast<size_t>(small_id)] = in_model ? 1 : 0;
  return absl::OkStatus();
}

Status VocabularyBuilder::AddAdded(AddedToken token, std::string bytes) {
  if (const std::optional<int32_t> known = Find(token.content)) {
    if (*known != token.id) {
      return Fail(StrCat("added token \"", token.content, "\" has the id ", token.id,
                         ", but the vocabulary gives it ", *known));
    }
  } else {
    RETURN_IF_ERROR(AddPiece(token.id, token.content, std::move(bytes), /*in_model=*/false));
  }
  return WithContext(added_.Add(std::move(token)), file_);
}

Status VocabularyBuilder::AddHidden(AddedToken token) {
  RETURN_IF_ERROR(CheckId(token.id, token.content));
  const auto [known, inserted] = contents_.emplace(token.id, token.content);
  if (!inserted && known->second != token.content)
    return Fail(StrCat("id ", token.id, " is given to two tokens, \"", known->second, "\" and \"",
                       token.content, "\""));
  if (inserted) {
    vocabulary_.Reserve(token.id);
    vocabulary_.bytes[static_cast<size_t>(token.id)] = token.content;
  }
  token.in_text = false;
  return WithContext(added_.Add(std::move(token)), file_);
}

std::optional<int32_t> VocabularyBuilder::Find(const std::string& content) const {
  const auto found = ids_.find(content);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

Status VocabularyBuilder::MarkSpecial(const std::string& content) {
  const std::optional<int32_t> id = Find(content);
  FT_CHECK(id.has_value()) << content;
  return WithContext(added_.Add({.id = *id, .content = content, .special = true}), file_);
}

StatusOr<BpeModel::Rule> MakeMergeRule(const VocabularyBuilder& builder, std::string_view where,
                                       const std::string& left, const std::string& right) {
  const std::string parts[] = {left, right, left + right};
  int32_t ids[3];
  for (int i = 0; i < 3; ++i) {
    const std::optional<int32_t> id = builder.Find(parts[i]);
    if (!id) {
      return absl::InvalidArgumentError(
          StrCat(builder.file(), ": ", where, " names \"", parts[i], "\", which is not in the vocabulary"));
    }
    ids[i] = *id;
  }
  return BpeModel::Rule{ids[0], ids[1], ids[2]};
}

}  // namespace ft::tokenizer
