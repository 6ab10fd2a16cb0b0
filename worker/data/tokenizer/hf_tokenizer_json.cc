#include "worker/data/tokenizer/hf_tokenizer_json.h"

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/data/tokenizer/byte_level.h"
#include "worker/data/tokenizer/hf_model.h"
#include "worker/data/tokenizer/hf_text_steps.h"
#include "worker/data/tokenizer/json_fields.h"
#include "worker/data/tokenizer/text_tokenizer.h"

namespace ft::tokenizer {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;

StatusOr<Beyond> ReadAddedTokens(const JsonObject& root, const TokenizerConfig& config,
                                 const TextSteps& steps, VocabularyBuilder* builder) {
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
    std::string bytes =
        steps.byte_level ? ByteLevelToBytes(token.content).value_or(token.content) : token.content;
    if (token.normalized) {
      ASSIGN_OR_RETURN(NormalizedText spelled, steps.normalizer.Apply(token.content, /*places=*/false));
      if (spelled.changed && !spelled.text.empty()) token.spelled = std::move(spelled.text);
    }
    RETURN_IF_ERROR(builder->AddAdded(std::move(token), std::move(bytes)));
  }
  return beyond;
}

// Which tokens decode to a byte.
void SetBytes(const VocabularyBuilder& builder, Decoder* decoder) {
  decoder->bytes.assign(builder.size(), -1);
  const std::array<int32_t, 256> ids = ByteTokens(builder);
  for (size_t byte = 0; byte < ids.size(); ++byte) {
    if (ids[byte] >= 0) decoder->bytes[static_cast<size_t>(ids[byte])] = static_cast<int16_t>(byte);
  }
}

// Ids of the tokens that the post-processor puts in front.
StatusOr<std::vector<int32_t>> IdsInFront(const JsonObject& root, const std::vector<std::string>& in_front,
                                          const VocabularyBuilder& builder) {
  std::vector<int32_t> ids;
  for (const std::string& content : in_front) {
    const std::optional<int32_t> id = builder.Find(content);
    if (!id) {
      return root.Fail("post_processor",
                       StrCat("asks for the special token \"", content,
                              "\", which is not in the vocabulary; copy the model's folder again"));
    }
    ids.push_back(*id);
  }
  return ids;
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
  ASSIGN_OR_RETURN(TextSteps steps, ReadTextSteps(root));

  const json* vocabulary = model->Find("vocab");
  VocabularyBuilder builder(file, vocabulary == nullptr ? 0 : vocabulary->size());
  RETURN_IF_ERROR(ReadPieces(*model, steps.byte_level, &builder));
  ASSIGN_OR_RETURN(const Beyond beyond, ReadAddedTokens(root, config, steps, &builder));
  ASSIGN_OR_RETURN(std::vector<int32_t> in_front, IdsInFront(root, steps.in_front, builder));
  TokenizerConfig names = config;
  if (!names.bos_token && !steps.in_front.empty()) names.bos_token = steps.in_front.front();
  ASSIGN_OR_RETURN(TokenizerTraits traits, ResolveTraits(names, &builder, beyond));
  traits.adds_bos = config.add_bos_token.value_or(!in_front.empty());
  if (in_front.size() > 1) traits.bos_ids = std::move(in_front);
  traits.vocab_size = static_cast<int32_t>(builder.size());
  if (steps.decodes_bytes) SetBytes(builder, &steps.decoder);
  ASSIGN_OR_RETURN(std::unique_ptr<SubwordModel> made, MakeModel(*model, steps.byte_level, &builder));
  return MakeTextTokenizer({.model = std::move(made),
                            .pre_tokenizer = std::move(steps.pre_tokenizer),
                            .added = builder.TakeAdded(),
                            .normalizer = std::move(steps.normalizer),
                            .mark = std::move(steps.mark),
                            .decoder = std::move(steps.decoder)},
                           std::move(traits));
}

}  // namespace ft::tokenizer
