#include "tests/support/tokenizer_reference.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <vector>

#include "core/base/file.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::testing {
namespace {

using nlohmann::json;
using tokenizer::ReplaceInvalidUtf8;
using Ids = std::vector<int32_t>;

constexpr uint64_t kMaxFileBytes = 64 << 20;
constexpr const char* kPlain = "decoded_without_special_tokens";

// What the original made of one string.
struct Expected {
  Ids ids;
  std::string decoded;
  std::optional<std::string> plain;  // Without special tokens, where that is told.
};

StatusOr<std::vector<std::string>> ReadStrings(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxFileBytes));
  const json strings = json::parse(text, nullptr, /*allow_exceptions=*/false);
  try {
    if (strings.is_array() && !strings.empty()) return strings.get<std::vector<std::string>>();
  } catch (const json::exception&) {  // Something else than a string among them.
  }
  return absl::InvalidArgumentError(StrCat(file.string(), " is not a list of strings"));
}

// Line i belongs to string i.
StatusOr<std::vector<Expected>> ReadResults(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxFileBytes));
  std::vector<Expected> results;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const json value = json::parse(line, nullptr, /*allow_exceptions=*/false);
    try {
      if (value.at("i").get<size_t>() != results.size())
        return absl::InvalidArgumentError(
            StrCat(file.string(), " line ", results.size() + 1, " is of another string"));
      Expected expected{value.at("ids").get<Ids>(), value.at("decoded").get<std::string>(), {}};
      if (value.contains(kPlain)) expected.plain = value.at(kPlain).get<std::string>();
      results.push_back(std::move(expected));
    } catch (const json::exception& error) {
      return absl::InvalidArgumentError(
          StrCat(file.string(), " line ", results.size() + 1, ": ", error.what()));
    }
  }
  return results;
}

// What is wrong with ours; empty = nothing.
std::string Difference(const tokenizer::Tokenizer& ours, const std::string& text, const Expected& expected) {
  const auto tokens = ours.EncodeWithOffsets(text);
  if (!tokens.ok()) return std::string(Message(tokens.status()));
  Ids ids;
  uint32_t done = 0;
  for (const tokenizer::EncodedToken& token : *tokens) {
    ids.push_back(token.id);
    if (token.begin > token.end || token.end < done || token.end > text.size()) return "offsets";
    done = token.end;
  }
  if (ids != expected.ids) return "other ids";
  if (ReplaceInvalidUtf8(ours.Decode(ids)) != expected.decoded) return "decodes to another text";
  if (expected.plain && ReplaceInvalidUtf8(ours.Decode(ids, {.skip_special = true})) != *expected.plain)
    return "decodes to another text without special tokens";
  return "";
}

}  // namespace

StatusOr<TokenizerDifferences> CompareTokenizer(const std::filesystem::path& folder,
                                                const TokenizerReference& reference) {
  const std::filesystem::path vocabulary = folder / reference.folder;
  ASSIGN_OR_RETURN(const auto ours, tokenizer::OpenTokenizer(vocabulary));
  ASSIGN_OR_RETURN(const std::vector<std::string> strings, ReadStrings(folder / "strings.json"));
  ASSIGN_OR_RETURN(const std::vector<Expected> results, ReadResults(vocabulary / reference.results));
  if (results.size() != strings.size()) {
    return absl::InvalidArgumentError(StrCat((vocabulary / reference.results).string(), " has ",
                                             results.size(), " lines for ", strings.size(), " strings"));
  }
  TokenizerDifferences differences{.strings = strings.size()};
  for (size_t i = 0; i < strings.size(); ++i) {
    const std::string difference = Difference(*ours, strings[i], results[i]);
    if (difference.empty()) continue;
    if (differences.count++ == 0)
      differences.first = StrCat("string ", i, ": ", difference, ": ", strings[i]);
  }
  return differences;
}

}  // namespace ft::testing
