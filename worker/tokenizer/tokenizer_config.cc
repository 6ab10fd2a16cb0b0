#include "worker/tokenizer/tokenizer_config.h"

#include <charconv>
#include <utility>

#include "core/base/file.h"
#include "worker/tokenizer/json_fields.h"

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

StatusOr<int32_t> SpecialId(const TokenizerConfig& config, const char* key,
                            const std::optional<std::string>& name, VocabularyBuilder* builder) {
  if (!name) return -1;
  const std::optional<int32_t> id = builder->Find(*name);
  if (!id) {
    return absl::InvalidArgumentError(StrCat(config.file, ": ", key, " \"", *name, "\" is not a token of ",
                                             builder->file(), "; are these files of one model?"));
  }
  RETURN_IF_ERROR(builder->MarkSpecial(*name));
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
    ASSIGN_OR_RETURN(std::optional<std::string> tokenizer_class, object.String("tokenizer_class"));
    config.tokenizer_class = std::move(tokenizer_class).value_or("");
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

StatusOr<TokenizerTraits> ResolveTraits(const TokenizerConfig& config, VocabularyBuilder* builder) {
  TokenizerTraits traits;
  ASSIGN_OR_RETURN(traits.bos_id, SpecialId(config, "bos_token", config.bos_token, builder));
  ASSIGN_OR_RETURN(traits.eos_id, SpecialId(config, "eos_token", config.eos_token, builder));
  ASSIGN_OR_RETURN(traits.pad_id, SpecialId(config, "pad_token", config.pad_token, builder));
  ASSIGN_OR_RETURN(traits.unk_id, SpecialId(config, "unk_token", config.unk_token, builder));
  traits.chat_template = config.chat_template;
  return traits;
}

}  // namespace ft::tokenizer
