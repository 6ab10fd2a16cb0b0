#include "worker/data/tokenizer/hf_tokenizer_json.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/data/tokenizer/bpe_tokenizer.h"
#include "worker/data/tokenizer/byte_level.h"
#include "worker/data/tokenizer/json_fields.h"

namespace ft::tokenizer {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

// How the file cuts text, gathered from its normalizer and pre_tokenizer.
struct TextSteps {
  Normalization normalization = Normalization::kNone;
  PreTokenizer pre_tokenizer;
  bool add_prefix_space = false;
  bool has_byte_level = false;
  bool has_steps = false;
};

StatusOr<std::string> TypeOf(const JsonObject& object) {
  ASSIGN_OR_RETURN(std::optional<std::string> type, object.String("type"));
  if (!type) return object.Fail("type", "is missing");
  return *std::move(type);
}

Status Unsupported(const JsonObject& object, std::string_view type) {
  return object.Fail("type", StrCat("\"", type, "\" is not supported"));
}

// The members of a Sequence, or the component itself.
StatusOr<std::vector<JsonObject>> Components(const JsonObject& object, const char* list_key) {
  ASSIGN_OR_RETURN(const std::string type, TypeOf(object));
  if (type != "Sequence") return std::vector<JsonObject>{object};
  ASSIGN_OR_RETURN(const json* list, object.Array(list_key));
  if (list == nullptr) return object.Fail(list_key, "is missing");
  std::vector<JsonObject> components;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string name = StrCat(list_key, "[", i, "]");
    if (!(*list)[i].is_object()) return object.Fail(name, "is not an object");
    components.push_back({&(*list)[i], object.file, object.Path(name)});
  }
  return components;
}

Status ReadNormalizer(const JsonObject& root, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> normalizer, root.Object("normalizer"));
  if (!normalizer) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<JsonObject> components, Components(*normalizer, "normalizers"));
  for (const JsonObject& component : components) {
    ASSIGN_OR_RETURN(const std::string type, TypeOf(component));
    if (type != "NFC" && type != "NFKC") return Unsupported(component, type);
    // NFKC includes NFC, so of both together it is the one that counts.
    if (type == "NFKC" || steps->normalization == Normalization::kNone) {
      steps->normalization = type == "NFC" ? Normalization::kNfc : Normalization::kNfkc;
    }
  }
  return absl::OkStatus();
}

std::string QuoteForRegex(std::string_view literal) {
  std::string pattern;
  for (const char c : literal) {
    if (std::string_view(R"(\^$.|?*+()[]{}#-&/)").find(c) != std::string_view::npos) pattern.push_back('\\');
    pattern.push_back(c);
  }
  return pattern;
}

StatusOr<SplitBehavior> ReadBehavior(const JsonObject& split) {
  ASSIGN_OR_RETURN(const std::optional<std::string> name, split.String("behavior"));
  const std::pair<std::string_view, SplitBehavior> known[] = {
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  for (const auto& [text, behavior] : known) {
    if (name == text) return behavior;
  }
  return split.Fail("behavior", StrCat("\"", name.value_or(""), "\" is not supported"));
}

Status AddSplit(const JsonObject& split, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> pattern, split.Object("pattern"));
  if (!pattern) return split.Fail("pattern", "is missing");
  ASSIGN_OR_RETURN(std::optional<std::string> expression, pattern->String("Regex"));
  if (!expression) {
    ASSIGN_OR_RETURN(const std::optional<std::string> literal, pattern->String("String"));
    if (!literal) return split.Fail("pattern", "holds neither Regex nor String");
    expression = QuoteForRegex(*literal);
  }
  StatusOr<Regex> regex = Regex::Compile(*expression);
  if (!regex.ok()) return WithContext(regex.status(), StrCat(split.file, ": ", split.Path("pattern")));
  ASSIGN_OR_RETURN(const SplitBehavior behavior, ReadBehavior(split));
  ASSIGN_OR_RETURN(const std::optional<bool> invert, split.Bool("invert"));
  steps->pre_tokenizer.Add(
      {.regex = *std::move(regex), .behavior = behavior, .invert = invert.value_or(false)});
  steps->has_steps = true;
  return absl::OkStatus();
}

Status AddDigits(const JsonObject& digits, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<bool> individual, digits.Bool("individual_digits"));
  ASSIGN_OR_RETURN(Regex regex, Regex::Compile(kDigitPattern));
  steps->pre_tokenizer.Add(
      {.regex = std::move(regex),
       .behavior = individual.value_or(false) ? SplitBehavior::kIsolated : SplitBehavior::kContiguous});
  steps->has_steps = true;
  return absl::OkStatus();
}

Status AddByteLevel(const JsonObject& byte_level, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<bool> prefix, byte_level.Bool("add_prefix_space"));
  ASSIGN_OR_RETURN(const std::optional<bool> use_regex, byte_level.Bool("use_regex"));
  steps->add_prefix_space = prefix.value_or(true);
  if (steps->add_prefix_space && steps->has_steps) {
    return byte_level.Fail("add_prefix_space", "after another pre-tokenizer is not supported");
  }
  if (use_regex.value_or(true)) RETURN_IF_ERROR(steps->pre_tokenizer.AddPattern(kGpt2Pattern));
  steps->has_byte_level = true;
  return absl::OkStatus();
}

Status ReadPreTokenizer(const JsonObject& root, TextSteps* steps) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> pre_tokenizer, root.Object("pre_tokenizer"));
  if (!pre_tokenizer)
    return root.Fail("pre_tokenizer", "is missing; only byte-level vocabularies are supported");
  ASSIGN_OR_RETURN(const std::vector<JsonObject> components, Components(*pre_tokenizer, "pretokenizers"));
  for (const JsonObject& component : components) {
    ASSIGN_OR_RETURN(const std::string type, TypeOf(component));
    // What follows ByteLevel would see its alphabet instead of the text.
    if (steps->has_byte_level)
      return component.Fail("type", StrCat("\"", type, "\" after ByteLevel is not supported"));
    if (type == "Split") {
      RETURN_IF_ERROR(AddSplit(component, steps));
    } else if (type == "Digits") {
      RETURN_IF_ERROR(AddDigits(component, steps));
    } else if (type == "ByteLevel") {
      RETURN_IF_ERROR(AddByteLevel(component, steps));
    } else {
      return Unsupported(component, type);
    }
  }
  if (!steps->has_byte_level) {
    return pre_tokenizer->Fail("type",
                               "without ByteLevel is not supported; only byte-level vocabularies are");
  }
  return absl::OkStatus();
}

Status CheckDecoder(const JsonObject& root) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> decoder, root.Object("decoder"));
  if (!decoder) return root.Fail("decoder", "is missing; only ByteLevel is supported");
  ASSIGN_OR_RETURN(const std::vector<JsonObject> components, Components(*decoder, "decoders"));
  for (const JsonObject& component : components) {
    ASSIGN_OR_RETURN(const std::string type, TypeOf(component));
    if (type != "ByteLevel" && type != "Fuse") return Unsupported(component, type);
  }
  return absl::OkStatus();
}

// The token that TemplateProcessing puts before the text, if any.
StatusOr<std::optional<std::string>> TokenInFront(const JsonObject& processor) {
  ASSIGN_OR_RETURN(const json* single, processor.Array("single"));
  if (single == nullptr || single->empty() || !single->front().is_object())
    return std::optional<std::string>();
  const JsonObject first{&single->front(), processor.file, processor.Path("single[0]")};
  ASSIGN_OR_RETURN(const std::optional<JsonObject> special, first.Object("SpecialToken"));
  if (!special) return std::optional<std::string>();
  return special->String("id");
}

StatusOr<std::optional<std::string>> ReadPostProcessor(const JsonObject& root) {
  std::optional<std::string> in_front;
  ASSIGN_OR_RETURN(const std::optional<JsonObject> processor, root.Object("post_processor"));
  if (!processor) return in_front;
  ASSIGN_OR_RETURN(const std::vector<JsonObject> components, Components(*processor, "processors"));
  for (const JsonObject& component : components) {
    ASSIGN_OR_RETURN(const std::string type, TypeOf(component));
    if (type == "ByteLevel") continue;
    if (type != "TemplateProcessing") return Unsupported(component, type);
    ASSIGN_OR_RETURN(in_front, TokenInFront(component));
  }
  return in_front;
}

Status CheckModel(const JsonObject& model) {
  ASSIGN_OR_RETURN(const std::optional<std::string> type, model.String("type"));
  if (type.value_or("BPE") != "BPE") return Unsupported(model, *type);
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    ASSIGN_OR_RETURN(const std::optional<std::string> text, model.String(affix));
    if (!text.value_or("").empty()) return model.Fail(affix, StrCat("\"", *text, "\" is not supported"));
  }
  ASSIGN_OR_RETURN(const std::optional<bool> byte_fallback, model.Bool("byte_fallback"));
  if (byte_fallback.value_or(false)) return model.Fail("byte_fallback", "is not supported");
  if (const json* dropout = model.Find("dropout"); dropout != nullptr && *dropout != 0.0) {
    return model.Fail("dropout", "is not supported");
  }
  return absl::OkStatus();
}

Status ReadVocabulary(const JsonObject& model, VocabularyBuilder* builder) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> vocabulary, model.Object("vocab"));
  if (!vocabulary) return model.Fail("vocab", "is missing");
  for (const auto& [content, id] : vocabulary->value->items()) {
    if (!id.is_number_integer()) return vocabulary->Fail(content, "is not an integer id");
    std::optional<std::string> bytes = ByteLevelToBytes(content);
    const bool in_model = bytes.has_value() && !bytes->empty();
    RETURN_IF_ERROR(
        builder->AddPiece(id.get<int64_t>(), content, std::move(bytes).value_or(content), in_model));
  }
  return absl::OkStatus();
}

StatusOr<Beyond> ReadAddedTokens(const JsonObject& root, const TokenizerConfig& config,
                                 VocabularyBuilder* builder) {
  ASSIGN_OR_RETURN(const json* list, root.Array("added_tokens"));
  std::vector<AddedToken> tokens;
  for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const std::string name = StrCat("added_tokens[", i, "]");
    if (!(*list)[i].is_object()) return root.Fail(name, "is not an object");
    const JsonObject entry{&(*list)[i], root.file, name};
    ASSIGN_OR_RETURN(const std::optional<int64_t> id, entry.Integer("id"));
    if (!id || *id < 0 || *id >= kMaxVocabulary) return entry.Fail("id", "is not a token id");
    ASSIGN_OR_RETURN(AddedToken token, ReadAddedToken(entry, static_cast<int32_t>(*id)));
    tokens.push_back(std::move(token));
  }
  tokens.insert(tokens.end(), config.added_tokens.begin(), config.added_tokens.end());
  Beyond beyond = TakeBeyond(config, *builder, tokens);
  for (AddedToken& token : tokens) {
    // The decoder sees added tokens like others: where the content is spelled in the byte alphabet, as bytes.
    std::string bytes = ByteLevelToBytes(token.content).value_or(token.content);
    RETURN_IF_ERROR(builder->AddAdded(std::move(token), std::move(bytes)));
  }
  return beyond;
}

// A merge is "left right" or ["left", "right"].
std::optional<std::pair<std::string, std::string>> MergeHalves(const json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
  }
  if (!merge.is_string()) return std::nullopt;
  const std::string& text = merge.get_ref<const std::string&>();
  const size_t space = text.find(' ');
  if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) return std::nullopt;
  return std::pair(text.substr(0, space), text.substr(space + 1));
}

StatusOr<std::vector<BpeModel::Rule>> ReadMerges(const JsonObject& model, const VocabularyBuilder& builder) {
  ASSIGN_OR_RETURN(const json* list, model.Array("merges"));
  if (list == nullptr) return model.Fail("merges", "is missing");
  std::vector<BpeModel::Rule> rules;
  rules.reserve(list->size());
  for (size_t i = 0; i < list->size(); ++i) {
    const auto halves = MergeHalves((*list)[i]);
    if (!halves) return model.Fail(StrCat("merges[", i, "]"), "is not a pair of tokens");
    ASSIGN_OR_RETURN(const BpeModel::Rule rule, MakeMergeRule(builder, model.Path(StrCat("merges[", i, "]")),
                                                              halves->first, halves->second));
    rules.push_back(rule);
  }
  return rules;
}

StatusOr<BpeOptions> ReadOptions(const JsonObject& model, const VocabularyBuilder& builder) {
  BpeOptions options;
  ASSIGN_OR_RETURN(const std::optional<bool> ignore_merges, model.Bool("ignore_merges"));
  options.whole_words_first = ignore_merges.value_or(false);
  ASSIGN_OR_RETURN(const std::optional<bool> fuse, model.Bool("fuse_unk"));
  options.fuse_unknown = fuse.value_or(false);
  ASSIGN_OR_RETURN(const std::optional<std::string> unknown, model.String("unk_token"));
  if (unknown) {
    const std::optional<int32_t> id = builder.Find(*unknown);
    if (!id) return model.Fail("unk_token", StrCat("\"", *unknown, "\" is not in the vocabulary"));
    options.unknown_id = *id;
  }
  return options;
}

}  // namespace

StatusOr<std::unique_ptr<Tokenizer>> ReadTokenizerJson(const std::filesystem::path& path,
                                                       const TokenizerConfig& config) {
  ASSIGN_OR_RETURN(const json parsed, ReadJsonObject(path, kMaxFileBytes));
  return MakeTokenizer(parsed, path.string(), config);
}

StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer(const nlohmann::json& tokenizer, const std::string& file,
                                                   const TokenizerConfig& config) {
  const JsonObject root{&tokenizer, file, ""};
  ASSIGN_OR_RETURN(const std::optional<JsonObject> model, root.Object("model"));
  if (!model) return root.Fail("model", "is missing");
  RETURN_IF_ERROR(CheckModel(*model));
  TextSteps steps;
  RETURN_IF_ERROR(ReadNormalizer(root, &steps));
  RETURN_IF_ERROR(ReadPreTokenizer(root, &steps));
  RETURN_IF_ERROR(CheckDecoder(root));

  const json* vocabulary = model->Find("vocab");
  VocabularyBuilder builder(file, vocabulary == nullptr ? 0 : vocabulary->size());
  RETURN_IF_ERROR(ReadVocabulary(*model, &builder));
  ASSIGN_OR_RETURN(const Beyond beyond, ReadAddedTokens(root, config, &builder));
  ASSIGN_OR_RETURN(const std::vector<BpeModel::Rule> merges, ReadMerges(*model, builder));
  ASSIGN_OR_RETURN(const BpeOptions options, ReadOptions(*model, builder));
  ASSIGN_OR_RETURN(const std::optional<std::string> in_front, ReadPostProcessor(root));
  TokenizerConfig names = config;
  if (!names.bos_token) names.bos_token = in_front;
  ASSIGN_OR_RETURN(TokenizerTraits traits, ResolveTraits(names, &builder, beyond));
  traits.adds_bos = config.add_bos_token.value_or(in_front.has_value());
  traits.vocab_size = static_cast<int32_t>(builder.size());
  return MakeBpeTokenizer({.model = BpeModel::FromMerges(builder.TakeVocabulary(), merges, options),
                           .pre_tokenizer = std::move(steps.pre_tokenizer),
                           .added = builder.TakeAdded(),
                           .normalization = steps.normalization,
                           .add_prefix_space = steps.add_prefix_space},
                          std::move(traits));
}

}  // namespace ft::tokenizer
