#include "worker/data/tokenizer/vocab_and_merges.h"

#include <string>
#include <string_view>
#include <utility>

#include "core/base/file.h"
#include "worker/data/tokenizer/hf_tokenizer_json.h"
#include "worker/data/tokenizer/json_fields.h"
#include "worker/data/tokenizer/word_patterns.h"

namespace ft::tokenizer {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

// What a tokenizer of a class does before byte-pair encoding.
struct WordRule {
  std::string_view pattern;
  bool nfc = false;
};

StatusOr<WordRule> RuleFor(const std::filesystem::path& folder, const TokenizerConfig& config) {
  std::string_view name = config.tokenizer_class;
  if (name.ends_with("Fast")) name.remove_suffix(4);
  if (name == "GPT2Tokenizer") return WordRule{.pattern = kGpt2Pattern};
  if (name == "Qwen2Tokenizer") return WordRule{.pattern = kQwenPattern, .nfc = true};
  return absl::InvalidArgumentError(StrCat(
      folder.string(), " holds vocab.json and merges.txt but no tokenizer.json, and the tokenizer_class \"",
      config.tokenizer_class,
      "\" of tokenizer_config.json does not say how text is cut into words (GPT2Tokenizer and "
      "Qwen2Tokenizer do): make tokenizer.json with transformers, "
      "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"));
}

StatusOr<json> ReadMerges(const std::filesystem::path& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxFileBytes));
  json merges = json::array();
  std::string_view rest = text;
  for (bool first = true; !rest.empty(); first = false) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || (first && line.starts_with("#version"))) continue;
    merges.push_back(line);
  }
  return merges;
}

}  // namespace

StatusOr<std::unique_ptr<Tokenizer>> ReadVocabAndMerges(const std::filesystem::path& folder,
                                                        const TokenizerConfig& config) {
  ASSIGN_OR_RETURN(const WordRule rule, RuleFor(folder, config));
  ASSIGN_OR_RETURN(json vocabulary, ReadJsonObject(folder / "vocab.json", kMaxFileBytes));
  ASSIGN_OR_RETURN(json merges, ReadMerges(folder / "merges.txt"));
  TokenizerConfig with_added = config;
  RETURN_IF_ERROR(ReadAddedTokensFile(folder, with_added));
  const json byte_level = {{"type", "ByteLevel"},
                           {"use_regex", false},
                           {"add_prefix_space", config.add_prefix_space.value_or(false)}};
  const json words = {
      {"type", "Split"}, {"pattern", {{"Regex", rule.pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  json tokenizer = {
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array({words, byte_level})}}},
      {"decoder", byte_level}};
  if (rule.nfc) tokenizer["normalizer"] = {{"type", "NFC"}};
  tokenizer["model"] = {{"type", "BPE"}};
  tokenizer["model"]["vocab"] = std::move(vocabulary);
  tokenizer["model"]["merges"] = std::move(merges);
  return MakeTokenizer(tokenizer, StrCat(folder.string(), "/vocab.json and merges.txt"), with_added);
}

}  // namespace ft::tokenizer
