#include "tests/support/tokenizer_reference.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <vector>

#include "core/base/file.h"
#include "tests/support/temp_dir.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::testing {
namespace {

using nlohmann::json;
using tokenizer::ReplaceInvalidUtf8;
using Ids = std::vector<int32_t>;

constexpr uint64_t kMaxFileBytes = 64 << 20;
// InternLM's piece 354 is the character NUL. SentencePiece 0.1.99 uses it, 0.2.3 writes the byte's token, 3.
constexpr int32_t kInternLmNul = 354, kInternLmNulByte = 3;
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

Ids WithOneNul(Ids ids, const TokenizerReference& reference) {
  if (std::string_view(reference.folder) == "internlm") {
    std::replace(ids.begin(), ids.end(), kInternLmNulByte, kInternLmNul);
  }
  return ids;
}

// What is wrong with ours; empty = nothing.
std::string Difference(const tokenizer::Tokenizer& ours, const std::string& text, const Expected& expected,
                       const TokenizerReference& reference) {
  const auto tokens = ours.EncodeWithOffsets(text, {.parse_special = reference.parse_special});
  if (!tokens.ok()) return std::string(Message(tokens.status()));
  Ids ids;
  uint32_t done = 0;
  for (const tokenizer::EncodedToken& token : *tokens) {
    ids.push_back(token.id);
    if (token.begin > token.end || token.end < done || token.end > text.size()) return "offsets";
    done = token.end;
  }
  if (WithOneNul(ids, reference) != WithOneNul(expected.ids, reference)) return "other ids";
  if (!reference.same_text) return "";
  if (ReplaceInvalidUtf8(ours.Decode(ids)) != expected.decoded) return "decodes to another text";
  if (expected.plain && ReplaceInvalidUtf8(ours.Decode(ids, {.skip_special = true})) != *expected.plain)
    return "decodes to another text without special tokens";
  return "";
}

}  // namespace

std::filesystem::path VocabularyFile(const std::filesystem::path& folder,
                                     const TokenizerReference& reference) {
  const std::filesystem::path here = folder / reference.folder / reference.vocabulary;
  std::error_code error;
  if (std::filesystem::exists(here, error)) return here;
  if (std::string_view(reference.folder) != "llama3") return {};
  const std::filesystem::path pythons = std::filesystem::path(FT_SOURCE_DIR) / ".deps/checks/lib";
  for (std::filesystem::directory_iterator python(pythons, error), end; !error && python != end;
       python.increment(error)) {
    const std::filesystem::path file = python->path() / "site-packages/llama_models/llama3/tokenizer.model";
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) return file;
  }
  return {};
}

StatusOr<TokenizerDifferences> CompareTokenizer(const std::filesystem::path& folder,
                                                const TokenizerReference& reference) {
  const std::filesystem::path file = VocabularyFile(folder, reference);
  if (file.empty()) {
    return absl::NotFoundError(
        StrCat((folder / reference.folder / reference.vocabulary).string(), " is not here"));
  }
  std::filesystem::path vocabulary = folder / reference.folder;
  // A vocabulary that lies elsewhere is opened alone, without what else is in its folder.
  const TempDir alone;
  if (file.parent_path() != vocabulary) {
    std::error_code error;
    std::filesystem::create_symlink(file, alone / reference.vocabulary, error);
    vocabulary = alone.path();
  }
  ASSIGN_OR_RETURN(const auto ours, tokenizer::OpenTokenizer(vocabulary));
  ASSIGN_OR_RETURN(const std::vector<std::string> strings, ReadStrings(folder / "strings.json"));
  ASSIGN_OR_RETURN(const std::vector<Expected> results,
                   ReadResults(folder / reference.folder / reference.results));
  if (results.size() != strings.size()) {
    return absl::InvalidArgumentError(StrCat((folder / reference.folder / reference.results).string(),
                                             " has ", results.size(), " lines for ", strings.size(),
                                             " strings"));
  }
  TokenizerDifferences differences{.strings = strings.size()};
  for (size_t i = 0; i < strings.size(); ++i) {
    const std::string difference = Difference(*ours, strings[i], results[i], reference);
    if (difference.empty()) continue;
    if (differences.count++ == 0)
      differences.first = StrCat("string ", i, ": ", difference, ": ", strings[i]);
  }
  return differences;
}

}  // namespace ft::testing
