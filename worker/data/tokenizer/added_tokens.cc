#include "worker/data/tokenizer/added_tokens.h"

#include <unicode/uchar.h>

#include <algorithm>

#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

uint64_t EdgeKey(uint32_t node, char byte) {
  return (static_cast<uint64_t>(node) << 8) | static_cast<unsigned char>(byte);
}

bool IsWordCharacter(char32_t code) {
  const auto point = static_cast<UChar32>(code);
  return u_hasBinaryProperty(point, UCHAR_ALPHABETIC) || u_hasBinaryProperty(point, UCHAR_JOIN_CONTROL) ||
         (U_GET_GC_MASK(point) & (U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK)) != 0;
}

bool TouchesWord(std::string_view text, size_t begin, size_t end) {
  return (begin > 0 && IsWordCharacter(ReadUtf8Before(text, begin).code)) ||
         (end < text.size() && IsWordCharacter(ReadUtf8(text, end).code));
}

size_t SkipSpaceBefore(std::string_view text, size_t pos) {
  while (pos > 0) {
    const Utf8Char before = ReadUtf8Before(text, pos);
    if (!IsWhiteSpace(before.code)) break;
    pos -= before.length;
  }
  return pos;
}

size_t SkipSpaceAfter(std::string_view text, size_t pos) {
  while (pos < text.size()) {
    const Utf8Char after = ReadUtf8(text, pos);
    if (!IsWhiteSpace(after.code)) break;
    pos += after.length;
  }
  return pos;
}

}  // namespace

void AddedTokens::Trie::Insert(std::string_view content, int32_t index) {
  uint32_t node = 0;
  begins[static_cast<unsigned char>(content.front())] = true;
  for (const char byte : content) {
    const auto [child, inserted] =
        children.try_emplace(EdgeKey(node, byte), static_cast<uint32_t>(token.size()));
    node = child->second;
    if (inserted) token.push_back(-1);
  }
  token[node] = index;
}

int32_t AddedTokens::Trie::Longest(std::string_view text, size_t pos) const {
  int32_t longest = -1;
  uint32_t node = 0;
  for (; pos < text.size(); ++pos) {
    const auto child = children.find(EdgeKey(node, text[pos]));
    if (child == children.end()) break;
    node = child->second;
    if (token[node] >= 0) longest = token[node];
  }
  return longest;
}

Status AddedTokens::Add(AddedToken token) {
  if (token.content.empty()) return absl::InvalidArgumentError(StrCat("added token ", token.id, " is empty"));
  if (token.content.size() > kMaxAddedTokenBytes) {
    return absl::InvalidArgumentError(
        StrCat("added token ", token.id, " is longer than ", kMaxAddedTokenBytes, " bytes"));
  }
  if (FirstInvalidUtf8(token.content))
    return absl::InvalidArgumentError(StrCat("added token ", token.id, " is not UTF-8"));
  if (const auto found = by_content_.find(token.content); found != by_content_.end()) {
    AddedToken& known = tokens_[found->second];
    if (known.id != token.id) {
      return absl::InvalidArgumentError(
          StrCat("added token \"", token.content, "\" has two ids, ", known.id, " and ", token.id));
    }
    known.special = known.special || token.special;
    return absl::OkStatus();
  }
  if (const auto found = by_id_.find(token.id); found != by_id_.end()) {
    return absl::InvalidArgumentError(StrCat("id ", token.id, " is given to two added tokens, \"",
                                             tokens_[found->second].content, "\" and \"", token.content,
                                             "\""));
  }
  const size_t index = tokens_.size();
  by_content_.emplace(token.content, index);
  by_id_.emplace(token.id, index);
  if (token.in_text)
    (token.normalized ? normalized_ : raw_).Insert(token.target(), static_cast<int32_t>(index));
  tokens_.push_back(std::move(token));
  return absl::OkStatus();
}

std::vector<AddedTokens::Part> AddedTokens::Split(std::string_view text, bool normalized,
                                                  bool parse_special) const {
  const Trie& trie = normalized ? normalized_ : raw_;
  std::vector<Part> parts;
  size_t done = 0;
  size_t pos = 0;
  while (pos < text.size()) {
    const bool may_begin = trie.begins[static_cast<unsigned char>(text[pos])];
    const int32_t index = may_begin ? trie.Longest(text, pos) : -1;
    if (index < 0) {
      ++pos;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(index)];
    size_t begin = pos;
    size_t end = pos + token.target().size();
    pos = end;
    if (token.special && !parse_special) continue;
    if (token.single_word && TouchesWord(text, begin, end)) continue;
    // White space that an earlier token took is not taken again.
    if (token.lstrip) begin = std::max(SkipSpaceBefore(text, begin), done);
    if (token.rstrip) end = SkipSpaceAfter(text, end);
    if (begin > done) parts.push_back({done, begin, nullptr});
    parts.push_back({begin, end, &token});
    done = end;
    pos = std::max(pos, end);
  }
  if (done < text.size()) parts.push_back({done, text.size(), nullptr});
  return parts;
}

const AddedToken* AddedTokens::Find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::FindId(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

}  // namespace ft::tokenizer
