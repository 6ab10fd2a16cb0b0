#include "worker/data/tokenizer/sentencepiece_tokenizer.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "worker/data/tokenizer/bpe.h"
#include "worker/data/tokenizer/sentencepiece_model.h"
#include "worker/data/tokenizer/text_tokenizer.h"
#include "worker/data/tokenizer/unigram.h"
#include "worker/data/tokenizer/vocabulary_builder.h"

namespace ft::tokenizer {
namespace {

using Kind = SentencePieceModel::Kind;

// What a class of transformers does around SentencePiece.
struct ClassRule {
  bool adds_bos = true;
  bool strips = false;  // Special tokens take the white space on both sides along.
  bool hides = false;   // No text is read as the model's own special tokens.
  bool is_glm = false;  // Ids behind the pieces, two of which are BOS.
};

ClassRule RuleOf(const TokenizerConfig& config) {
  std::string_view name = config.tokenizer_class;
  if (name.ends_with("Fast")) name.remove_suffix(4);
  // Special tokens that the configuration writes as plain strings are stripped around by transformers' slow classes.
  if (name == "InternLMTokenizer") return {.strips = config.added_tokens.empty()};
  if (name == "ChatGLMTokenizer") return {.hides = true, .is_glm = true};
  return {};
}

Status AddPieces(const SentencePieceModel& model, VocabularyBuilder& builder) {
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const SentencePieceModel::Piece& piece = model.pieces[i];
    const bool in_model = piece.kind == Kind::kNormal || piece.kind == Kind::kUserDefined;
    RETURN_IF_ERROR(builder.AddPiece(static_cast<int64_t>(i), piece.text, piece.text, in_model));
  }
  return absl::OkStatus();
}

// Tokens of the configuration first: they say how they treat what stands around them.
Status AddConfigured(std::vector<AddedToken> tokens, VocabularyBuilder& builder) {
  for (AddedToken& token : tokens) {
    if (builder.added().FindId(token.id) != nullptr && builder.added().Find(token.content) != nullptr)
      continue;
    std::string content = token.content;
    RETURN_IF_ERROR(builder.AddAdded(std::move(token), std::move(content)));
  }
  return absl::OkStatus();
}

Status AddSpecials(const SentencePieceModel& model, const ClassRule& rule, VocabularyBuilder& builder) {
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const SentencePieceModel::Piece& piece = model.pieces[i];
    if (piece.kind != Kind::kControl && piece.kind != Kind::kUnknown) continue;
    if (builder.added().Find(piece.text) != nullptr) continue;
    AddedToken token{.id = static_cast<int32_t>(i),
                     .content = piece.text,
                     .special = true,
                     .lstrip = rule.strips,
                     .rstrip = rule.strips};
    RETURN_IF_ERROR(rule.hides ? builder.AddHidden(std::move(token))
                               : builder.AddAdded(std::move(token), piece.text));
  }
  return absl::OkStatus();
}

// ChatGLM2 and 3: the ids behind the pieces (tokenization_chatglm.py of the models). Returns BOS.
StatusOr<std::vector<int32_t>> AddGlmTokens(const TokenizerConfig& config, VocabularyBuilder& builder) {
  auto id = static_cast<int32_t>(builder.size());
  const std::vector<int32_t> bos = {id + 1, id + 3};
  for (const char* name : {"[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"})
    RETURN_IF_ERROR(builder.AddHidden({.id = id++, .content = name, .special = true}));
  if (config.origin.find("chatglm2") != std::string::npos) return bos;
  for (const char* name : {"<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"})
    RETURN_IF_ERROR(builder.AddAdded({.id = id++, .content = name, .special = true}, name));
  return bos;
}

UnknownRule UnknownOf(const SentencePieceModel& model) {
  UnknownRule rule{.unknown_id = model.unk_id, .fuse = true};
  if (!model.byte_fallback) return rule;
  rule.byte_tokens.emplace();
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    if (model.pieces[i].kind == Kind::kByte)
      (*rule.byte_tokens)[static_cast<size_t>(SentencePieceModel::ByteOf(model.pieces[i]))] =
          static_cast<int32_t>(i);
  }
  return rule;
}

std::vector<int32_t> UserDefined(const SentencePieceModel& model) {
  std::vector<int32_t> ids;
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    if (model.pieces[i].kind == Kind::kUserDefined) ids.push_back(static_cast<int32_t>(i));
  }
  return ids;
}

std::unique_ptr<SubwordModel> MakeModel(const SentencePieceModel& model, Vocabulary vocabulary) {
  std::vector<float> scores(vocabulary.bytes.size(), 0);
  for (size_t i = 0; i < model.pieces.size(); ++i) scores[i] = model.pieces[i].score;
  if (model.algorithm == SentencePieceModel::Algorithm::kUnigram) {
    return UnigramModel::Make(
        std::move(vocabulary), scores,
        {.unknown = UnknownOf(model), .single_precision = true, .user_defined = UserDefined(model)});
  }
  return BpeModel::FromScores(
      std::move(vocabulary), scores,
      {.characters = true, .unknown = UnknownOf(model), .whole_texts = true, .fixed = UserDefined(model)});
}

StatusOr<Normalizer> MakeNormalizer(const SentencePieceModel& model) {
  SentencePieceNormalizer rules{.add_dummy_prefix = model.add_dummy_prefix,
                                .remove_extra_whitespaces = model.remove_extra_whitespaces,
                                .escape_whitespaces = model.escape_whitespaces};
  StatusOr<Charsmap> charsmap = Charsmap::Parse(model.charsmap);
  if (!charsmap.ok()) return WithContext(charsmap.status(), model.file);
  if (!charsmap->empty()) rules.charsmap = std::make_shared<const Charsmap>(*std::move(charsmap));
  std::vector<std::pair<std::string_view, int32_t>> user_defined;
  for (const int32_t id : UserDefined(model))
    user_defined.emplace_back(model.pieces[static_cast<size_t>(id)].text, id);
  if (!user_defined.empty()) rules.user_defined = std::make_shared<const ByteTrie>(std::move(user_defined));
  Normalizer normalizer;
  normalizer.Add(std::move(rules));
  return normalizer;
}

Decoder MakeDecoder(const SentencePieceModel& model) {
  Decoder decoder{.space_marks = true,
                  .strips_first_space = model.add_dummy_prefix || model.remove_extra_whitespaces};
  decoder.bytes.assign(model.pieces.size(), -1);
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    if (model.pieces[i].kind == Kind::kByte)
      decoder.bytes[i] = static_cast<int16_t>(SentencePieceModel::ByteOf(model.pieces[i]));
  }
  return decoder;
}

// The names of the special tokens: the configuration's, else the model's.
TokenizerConfig WithNames(const SentencePieceModel& model, const TokenizerConfig& config) {
  TokenizerConfig named = config;
  const std::pair<std::optional<std::string>*, int32_t> names[] = {{&named.bos_token, model.bos_id},
                                                                   {&named.eos_token, model.eos_id},
                                                                   {&named.pad_token, model.pad_id},
                                                                   {&named.unk_token, model.unk_id}};
  for (const auto& [name, id] : names) {
    if (!name->has_value() && id >= 0) *name = model.pieces[static_cast<size_t>(id)].text;
  }
  return named;
}

}  // namespace

StatusOr<std::unique_ptr<Tokenizer>> ReadSentencePieceFile(const std::filesystem::path& path,
                                                           std::string_view content,
                                                           const TokenizerConfig& config) {
  ASSIGN_OR_RETURN(const SentencePieceModel model, ParseSentencePiece(content, path.string()));
  return MakeSentencePieceTokenizer(model, config);
}

StatusOr<std::unique_ptr<Tokenizer>> MakeSentencePieceTokenizer(const SentencePieceModel& model,
                                                                const TokenizerConfig& config) {
  const ClassRule rule = RuleOf(config);
  VocabularyBuilder builder(model.file, model.pieces.size());
  RETURN_IF_ERROR(AddPieces(model, builder));
  std::vector<int32_t> bos_ids;
  if (rule.is_glm) {
    ASSIGN_OR_RETURN(bos_ids, AddGlmTokens(config, builder));
  }
  std::vector<AddedToken> configured = config.added_tokens;
  const Beyond beyond = TakeBeyond(config, builder, configured);
  RETURN_IF_ERROR(AddConfigured(std::move(configured), builder));
  RETURN_IF_ERROR(AddSpecials(model, rule, builder));
  ASSIGN_OR_RETURN(TokenizerTraits traits, ResolveTraits(WithNames(model, config), &builder, beyond));
  if (!bos_ids.empty()) traits.bos_id = bos_ids.front();
  traits.bos_ids = std::move(bos_ids);
  traits.adds_bos = config.add_bos_token.value_or(rule.adds_bos);
  traits.vocab_size = static_cast<int32_t>(builder.size());
  ASSIGN_OR_RETURN(Normalizer normalizer, MakeNormalizer(model));
  return MakeTextTokenizer({.model = MakeModel(model, builder.TakeVocabulary()),
                            .added = builder.TakeAdded(),
                            .normalizer = std::move(normalizer),
                            .decoder = MakeDecoder(model)},
                           std::move(traits));
}

}  // namespace ft::tokenizer
