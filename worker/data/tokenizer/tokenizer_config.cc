#include "worker/data/tokenizer/tokenizer_config.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <set>
#include <utility>

#include "core/base/file.h"
#include "worker/data/tokenizer/json_fields.h"

namespace ft::tokenizer {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr uint64_t kMaxConfigBytes = uint64_t{32} << 20;
constexpr uint64_t kMaxTemplateBytes = uint64_t{1} << 20;

// A token's name is a string, or an object whose `content` is it.
StatusOr<std::optional<std::string>> TokenName(const JsonObject& config, const char* key) {
  const json* field = config.Find(key);
  if (field == nullptr || !field->is_object()) return config.String(key);
  ASSIGN_OR_RETURN(const std::optional<JsonObject> token, config.Object(key));
  return token->String("content");
}

Status ReadTokenNames(const JsonObject& object, TokenizerConfig* config) {
  const std::pair<const char*, std::optional<std::string>*> names[] = {{"bos_token", &config->bos_token},
                                                                       {"eos_token", &config->eos_token},
                                                                       {"pad_token", &config->pad_token},
                                                                       {"unk_token", &config->unk_token}};
  for (const auto& [key, name] : names) {
    if (name->has_value()) continue;
    ASSIGN_OR_RETURN(*name, TokenName(object, key));
  }
  return absl::OkStatus();
}

// A string, or a list of {name, template}, of which "default" is the one for chats.
Status ReadChatTemplate(const JsonObject& object, TokenizerConfig* config) {
  const json* field = object.Find("chat_template");
  if (field == nullptr || !field->is_array()) {
    ASSIGN_OR_RETURN(std::optional<std::string> text, object.String("chat_template"));
    config->chat_template = std::move(text).value_or("");
    return absl::OkStatus();
  }
  for (const json& entry : *field) {
    if (!entry.is_object()) return object.Fail("chat_template", "holds something that is not an object");
    const JsonObject named{&entry, object.file, object.Path("chat_template")};
    ASSIGN_OR_RETURN(const std::optional<std::string> name, named.String("name"));
    if (name != "default") continue;
    ASSIGN_OR_RETURN(std::optional<std::string> text, named.String("template"));
    config->chat_template = std::move(text).value_or("");
  }
  return absl::OkStatus();
}

Status ReadAddedTokens(const JsonObject& object, TokenizerConfig* config) {
  ASSIGN_OR_RETURN(const std::optional<JsonObject> tokens, object.Object("added_tokens_decoder"));
  if (!tokens) return absl::OkStatus();
  for (const auto& [id_text, entry] : tokens->value->items()) {
    AddedToken token;
    const char* end = id_text.data() + id_text.size();
    const auto parsed = std::from_chars(id_text.data(), end, token.id);
    if (parsed.ec != std::errc() || parsed.ptr != end || token.id < 0 || token.id >= kMaxVocabulary) {
      return tokens->Fail(id_text, "is not a token id");
    }
    if (!entry.is_object()) return tokens->Fail(id_text, "is not an object");
    ASSIGN_OR_RETURN(token, ReadAddedToken(JsonObject{&entry, object.file, tokens->Path(id_text)}, token.id));
    config->added_tokens.push_back(std::move(token));
  }
  return absl::OkStatus();
}

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

Status NeedsRow(const TokenizerConfig& config, std::string_view what, const AddedToken& token) {
  return absl::InvalidArgumentError(
      StrCat(config.file, ": ", what, " \"", token.content, "\" has the id ", token.id,
             ", but the model has only ", config.rows,
             " rows: enlarge its embedding "
             "(resize_token_embeddings in transformers), or take the original tokenizer files"));
}

// A vocabulary that has too many ids without what was added to it: the caller of OpenTokenizer says so.
bool IsAnotherModels(const TokenizerConfig& config, const VocabularyBuilder& builder) {
  return static_cast<int64_t>(builder.size()) > config.rows;
}

// Where a token is looked for.
struct Tokens {
  VocabularyBuilder* builder;
  const Beyond& beyond;
};

StatusOr<int32_t> SpecialId(const TokenizerConfig& config, const char* key,
                            const std::optional<std::string>& name, const Tokens& tokens) {
  if (!name) return -1;
  if (const AddedToken* token = tokens.beyond.Find(*name); token != nullptr) {
    const std::string_view word = key;
    if (word == "pad_token" || word == "unk_token") return -1;  // Never in a text.
    return IsAnotherModels(config, *tokens.builder) ? StatusOr<int32_t>(-1) : NeedsRow(config, key, *token);
  }
  const std::optional<int32_t> id = tokens.builder->Find(*name);
  if (!id) {
    return absl::InvalidArgumentError(StrCat(config.file, ": ", key, " \"", *name, "\" is not a token of ",
                                             tokens.builder->file(), "; are these files of one model?"));
  }
  RETURN_IF_ERROR(tokens.builder->MarkSpecial(*name));
  return *id;
}

}  // namespace

StatusOr<TokenizerConfig> ReadTokenizerConfig(const fs::path& folder) {
  TokenizerConfig config;
  const fs::path path = folder / "tokenizer_config.json";
  if (Exists(path)) {
    config.file = path.string();
    ASSIGN_OR_RETURN(const json parsed, ReadJsonObject(path, kMaxConfigBytes));
    const JsonObject object{&parsed, config.file, ""};
    RETURN_IF_ERROR(ReadTokenNames(object, &config));
    ASSIGN_OR_RETURN(config.add_bos_token, object.Bool("add_bos_token"));
    ASSIGN_OR_RETURN(config.add_prefix_space, object.Bool("add_prefix_space"));
    ASSIGN_OR_RETURN(std::optional<std::string> tokenizer_class, object.String("tokenizer_class"));
    config.tokenizer_class = std::move(tokenizer_class).value_or("");
    ASSIGN_OR_RETURN(std::optional<std::string> origin, object.String("name_or_path"));
    config.origin = std::move(origin).value_or("");
    RETURN_IF_ERROR(ReadChatTemplate(object, &config));
    RETURN_IF_ERROR(ReadAddedTokens(object, &config));
  }
  if (const fs::path names = folder / "special_tokens_map.json"; Exists(names)) {
    ASSIGN_OR_RETURN(const json parsed, ReadJsonObject(names, kMaxConfigBytes));
    RETURN_IF_ERROR(ReadTokenNames(JsonObject{&parsed, names.string(), ""}, &config));
  }
  if (const fs::path jinja = folder / "chat_template.jinja"; Exists(jinja)) {
    ASSIGN_OR_RETURN(config.chat_template, ReadFile(jinja, kMaxTemplateBytes));
  }
  return config;
}

Status ReadAddedTokensFile(const fs::path& folder, TokenizerConfig& config) {
  const fs::path path = folder / "added_tokens.json";
  if (!Exists(path)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const json parsed, ReadJsonObject(path, kMaxConfigBytes));
  const JsonObject object{&parsed, path.string(), ""};
  std::set<std::string> known;
  for (const AddedToken& token : config.added_tokens) known.insert(token.content);
  for (const auto& [content, id] : parsed.items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= kMaxVocabulary) {
      return object.Fail(content, "is not a token id");
    }
    if (known.contains(content)) continue;
    // The file does not say which are special; those that no text would hold by chance are.
    const bool special = content.starts_with('<') && content.ends_with('>');
    config.added_tokens.push_back({.id = id.get<int32_t>(), .content = content, .special = special});
  }
  return absl::OkStatus();
}

const AddedToken* Beyond::Find(std::string_view content) const {
  for (const AddedToken& token : tokens) {
    if (token.content == content) return &token;
  }
  return nullptr;
}

Beyond TakeBeyond(const TokenizerConfig& config, const VocabularyBuilder& builder,
                  std::vector<AddedToken>& tokens) {
  Beyond beyond;
  const auto first = std::stable_partition(tokens.begin(), tokens.end(), [&](const AddedToken& token) {
    return token.id < config.rows || builder.Find(token.content).has_value();
  });
  beyond.tokens.assign(std::make_move_iterator(first), std::make_move_iterator(tokens.end()));
  tokens.erase(first, tokens.end());
  return beyond;
}

StatusOr<TokenizerTraits> ResolveTraits(const TokenizerConfig& config, VocabularyBuilder* builder,
                                        const Beyond& beyond) {
  const Tokens tokens{builder, beyond};
  TokenizerTraits traits;
  ASSIGN_OR_RETURN(traits.bos_id, SpecialId(config, "bos_token", config.bos_token, tokens));
  ASSIGN_OR_RETURN(traits.eos_id, SpecialId(config, "eos_token", config.eos_token, tokens));
  ASSIGN_OR_RETURN(traits.pad_id, SpecialId(config, "pad_token", config.pad_token, tokens));
  ASSIGN_OR_RETURN(traits.unk_id, SpecialId(config, "unk_token", config.unk_token, tokens));
  for (const AddedToken& token : beyond.tokens) {
    const bool is_used =
        !token.content.empty() && config.chat_template.find(token.content) != std::string::npos;
    if (is_used && !IsAnotherModels(config, *builder)) return NeedsRow(config, "the chat template's", token);
  }
  traits.chat_template = config.chat_template;
  return traits;
}

}  // namespace ft::tokenizer
