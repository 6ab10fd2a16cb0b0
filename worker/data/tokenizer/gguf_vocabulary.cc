#include "worker/data/tokenizer/gguf_vocabulary.h"

#include <optional>
#include <utility>

#include "nlohmann/json.hpp"
#include "worker/data/tokenizer/bpe_tokenizer.h"
#include "worker/data/tokenizer/byte_level.h"
#include "worker/data/tokenizer/vocabulary_builder.h"

namespace ft::tokenizer {
namespace {

// The values of tokenizer.ggml.token_type that change how a token is treated.
constexpr int32_t kControl = 3;
constexpr int32_t kUserDefined = 4;

// How a value of tokenizer.ggml.pre cuts words: these patterns, one after the other.
struct WordRule {
  std::string_view name;
  std::vector<std::string_view> patterns;
  bool whole_words_first = false;
  Normalization normalization = Normalization::kNone;
};

std::vector<WordRule> WordRules() {
  return {
      {"default", {kGpt2Pattern}},
      {"gpt-2", {kGpt2Pattern}},
      {"smollm", {kDigitPattern, kGpt2Pattern}},
      {"starcoder", {kDigitPattern, kGpt2Pattern}},
      {"refact", {kDigitPattern, kGpt2Pattern}},
      {"command-r", {kDigitPattern, kGpt2Pattern}},
      {"llama-bpe", {kLlama3Pattern}, /*whole_words_first=*/true},
      {"llama3", {kLlama3Pattern}, /*whole_words_first=*/true},
      {"llama-v3", {kLlama3Pattern}, /*whole_words_first=*/true},
      {"qwen2", {kQwenPattern}, /*whole_words_first=*/false, Normalization::kNfc},
      {"deepseek-r1-qwen", {kQwenPattern}, /*whole_words_first=*/false, Normalization::kNfc},
  };
}

StatusOr<WordRule> RuleFor(const GgufVocabulary& vocabulary) {
  const std::string name = vocabulary.pre.empty() ? "default" : vocabulary.pre;
  std::string known;
  for (const WordRule& rule : WordRules()) {
    if (rule.name == name) return rule;
    StrAppend(&known, known.empty() ? "" : ", ", rule.name);
  }
  return absl::InvalidArgumentError(
      StrCat(vocabulary.file, ": tokenizer.ggml.pre \"", name, "\" is not supported; known are ", known));
}

Status CheckShape(const GgufVocabulary& vocabulary) {
  if (vocabulary.model != "gpt2") {
    return absl::InvalidArgumentError(StrCat(vocabulary.file, ": tokenizer.ggml.model \"", vocabulary.model,
                                             "\" is not supported; only \"gpt2\" (byte-level BPE) is"));
  }
  if (vocabulary.tokens.empty())
    return absl::InvalidArgumentError(StrCat(vocabulary.file, ": tokenizer.ggml.tokens is empty"));
  if (vocabulary.tokens.size() > static_cast<size_t>(kMaxVocabulary)) {
    return absl::InvalidArgumentError(StrCat(vocabulary.file, ": tokenizer.ggml.tokens holds ",
                                             vocabulary.tokens.size(), " tokens, more than ",
                                             kMaxVocabulary));
  }
  if (!vocabulary.token_types.empty() && vocabulary.token_types.size() != vocabulary.tokens.size()) {
    return absl::InvalidArgumentError(StrCat(vocabulary.file, ": tokenizer.ggml.token_type has ",
                                             vocabulary.token_types.size(), " entries for ",
                                             vocabulary.tokens.size(), " tokens"));
  }
  return absl::OkStatus();
}

Status AddTokens(const GgufVocabulary& vocabulary, VocabularyBuilder* builder) {
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const std::string& content = vocabulary.tokens[i];
    const int32_t type = vocabulary.token_types.empty() ? 1 : vocabulary.token_types[i];
    const auto id = static_cast<int32_t>(i);
    std::optional<std::string> bytes = ByteLevelToBytes(content);
    const bool in_model = type != kControl && bytes.has_value() && !bytes->empty();
    RETURN_IF_ERROR(builder->AddPiece(id, content, std::move(bytes).value_or(content), in_model));
    if (type == kControl || type == kUserDefined) {
      RETURN_IF_ERROR(
          builder->AddAdded({.id = id, .content = content, .special = type == kControl}, content));
    }
  }
  return absl::OkStatus();
}

StatusOr<std::vector<BpeModel::Rule>> ReadMerges(const GgufVocabulary& vocabulary,
                                                 const VocabularyBuilder& builder) {
  std::vector<BpeModel::Rule> rules;
  rules.reserve(vocabulary.merges.size());
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const std::string& merge = vocabulary.merges[i];
    const std::string where = StrCat("tokenizer.ggml.merges[", i, "]");
    const size_t space = merge.find(' ');
    if (space == std::string::npos) {
      return absl::InvalidArgumentError(StrCat(vocabulary.file, ": ", where, " is not a pair of tokens"));
    }
    ASSIGN_OR_RETURN(const BpeModel::Rule rule,
                     MakeMergeRule(builder, where, merge.substr(0, space), merge.substr(space + 1)));
    rules.push_back(rule);
  }
  return rules;
}

StatusOr<int32_t> CheckedId(const GgufVocabulary& vocabulary, std::string_view key, int64_t id) {
  if (id < 0) return -1;
  if (id >= static_cast<int64_t>(vocabulary.tokens.size())) {
    return absl::InvalidArgumentError(StrCat(vocabulary.file, ": ", key, " is ", id, " in a vocabulary of ",
                                             vocabulary.tokens.size(), " tokens"));
  }
  return static_cast<int32_t>(id);
}

StatusOr<TokenizerTraits> ReadTraits(const GgufVocabulary& vocabulary) {
  TokenizerTraits traits{.vocab_size = static_cast<int32_t>(vocabulary.tokens.size())};
  ASSIGN_OR_RETURN(traits.bos_id, CheckedId(vocabulary, "tokenizer.ggml.bos_token_id", vocabulary.bos_id));
  ASSIGN_OR_RETURN(traits.eos_id, CheckedId(vocabulary, "tokenizer.ggml.eos_token_id", vocabulary.eos_id));
  ASSIGN_OR_RETURN(traits.pad_id,
                   CheckedId(vocabulary, "tokenizer.ggml.padding_token_id", vocabulary.pad_id));
  ASSIGN_OR_RETURN(traits.unk_id,
                   CheckedId(vocabulary, "tokenizer.ggml.unknown_token_id", vocabulary.unk_id));
  traits.adds_bos = vocabulary.add_bos;
  traits.chat_template = vocabulary.chat_template;
  return traits;
}

using Json = nlohmann::json;

// Words are cut by the rule's patterns one after the other, then spelled in bytes.
Json PreTokenizerJson(const WordRule& rule, const GgufVocabulary& vocabulary) {
  Json steps = Json::array();
  for (const std::string_view pattern : rule.patterns) {
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  steps.push_back({{"type", "ByteLevel"},
                   {"add_prefix_space", vocabulary.add_space_prefix},
                   {"trim_offsets", true},
                   {"use_regex", false}});
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

Json AddedTokensJson(const GgufVocabulary& vocabulary) {
  Json added = Json::array();
  for (size_t i = 0; i < vocabulary.token_types.size(); ++i) {
    const int32_t type = vocabulary.token_types[i];
    if (type != kControl && type != kUserDefined) continue;
    added.push_back({{"id", i},
                     {"content", vocabulary.tokens[i]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", type == kControl}});
  }
  return added;
}

Json ModelJson(const WordRule& rule, const GgufVocabulary& vocabulary) {
  Json vocab = Json::object();
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) vocab[vocabulary.tokens[i]] = i;
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", ""},
          {"end_of_word_suffix", ""},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", rule.whole_words_first},
          {"vocab", std::move(vocab)},
          {"merges", vocabulary.merges}};
}

}  // namespace

StatusOr<std::unique_ptr<Tokenizer>> MakeGgufTokenizer(const GgufVocabulary& vocabulary) {
  RETURN_IF_ERROR(CheckShape(vocabulary));
  ASSIGN_OR_RETURN(const WordRule rule, RuleFor(vocabulary));
  ASSIGN_OR_RETURN(TokenizerTraits traits, ReadTraits(vocabulary));
  VocabularyBuilder builder(vocabulary.file, vocabulary.tokens.size());
  RETURN_IF_ERROR(AddTokens(vocabulary, &builder));
  if (vocabulary.token_types.empty()) {
    for (const int32_t id : {traits.bos_id, traits.eos_id}) {
      if (id >= 0) RETURN_IF_ERROR(builder.MarkSpecial(vocabulary.tokens[static_cast<size_t>(id)]));
    }
  }
  ASSIGN_OR_RETURN(const std::vector<BpeModel::Rule> merges, ReadMerges(vocabulary, builder));
  PreTokenizer pre_tokenizer;
  for (const std::string_view pattern : rule.patterns) RETURN_IF_ERROR(pre_tokenizer.AddPattern(pattern));
  const BpeOptions options{.whole_words_first = rule.whole_words_first};
  return MakeBpeTokenizer({.model = BpeModel::FromMerges(builder.TakeVocabulary(), merges, options),
                           .pre_tokenizer = std::move(pre_tokenizer),
                           .added = builder.TakeAdded(),
                           .normalization = rule.normalization,
                           .add_prefix_space = vocabulary.add_space_prefix},
                          std::move(traits));
}

StatusOr<TokenizerFiles> MakeTokenizerFiles(const GgufVocabulary& vocabulary) {
  RETURN_IF_ERROR(CheckShape(vocabulary));
  ASSIGN_OR_RETURN(const WordRule rule, RuleFor(vocabulary));
  ASSIGN_OR_RETURN(const TokenizerTraits traits, ReadTraits(vocabulary));
  const Json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", true}, {"use_regex", true}};
  const Json normalizer = rule.normalization == Normalization::kNfc ? Json{{"type", "NFC"}} : Json(nullptr);
  const Json tokenizer = {{"version", "1.0"},
                          {"truncation", nullptr},
                          {"padding", nullptr},
                          {"added_tokens", AddedTokensJson(vocabulary)},
                          {"normalizer", normalizer},
                          {"pre_tokenizer", PreTokenizerJson(rule, vocabulary)},
                          {"post_processor", nullptr},
                          {"decoder", byte_level},
                          {"model", ModelJson(rule, vocabulary)}};
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"add_bos_token", traits.adds_bos}};
  const auto name = [&](const char* key, int32_t id) {
    if (id >= 0) config[key] = vocabulary.tokens[static_cast<size_t>(id)];
  };
  name("bos_token", traits.bos_id);
  name("eos_token", traits.eos_id);
  name("pad_token", traits.pad_id);
  name("unk_token", traits.unk_id);
  if (!traits.chat_template.empty()) config["chat_template"] = traits.chat_template;
  constexpr auto kReplace = Json::error_handler_t::replace;
  return TokenizerFiles{tokenizer.dump(-1, ' ', false, kReplace),
                        config.dump(2, ' ', false, kReplace) + "\n"};
}

}  // namespace ft::tokenizer
