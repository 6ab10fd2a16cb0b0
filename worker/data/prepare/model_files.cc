#include "worker/data/prepare/model_files.h"

#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/base/file.h"
#include "worker/data/tokenizer/gguf_vocabulary.h"
#include "worker/model/weights/gguf.h"
#include "worker/model/weights/quantization.h"

namespace ft::prepare {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{1} << 20;
constexpr int64_t kMaxVocab = int64_t{1} << 24;
constexpr int64_t kMaxContext = int64_t{1} << 31;

// Nested only a little: a config deeper than this is no config.
constexpr int kMaxConfigDepth = 32;

nlohmann::json ParseBounded(const std::string& text) {
  bool too_deep = false;
  const auto watch = [&](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
    too_deep = too_deep || depth > kMaxConfigDepth;
    return !too_deep;
  };
  nlohmann::json parsed = nlohmann::json::parse(text, watch, /*allow_exceptions=*/false);
  return too_deep ? nlohmann::json(nlohmann::json::value_t::discarded) : parsed;
}

StatusOr<nlohmann::json> ReadConfig(const std::filesystem::path& model) {
  const std::filesystem::path path = model / "config.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  nlohmann::json config = ParseBounded(text);
  if (!config.is_object()) {
    return absl::InvalidArgumentError(
        StrCat(path.string(), " is not a JSON object; copy the model's folder again"));
  }
  return config;
}

// Models with several parts keep the language model's settings in text_config. Null when it is in neither.
const nlohmann::json* FindSetting(const nlohmann::json& config, const char* key) {
  if (config.contains(key)) return &config[key];
  const auto inner = config.find("text_config");
  if (inner == config.end() || !inner->is_object() || !inner->contains(key)) return nullptr;
  return &inner->at(key);
}

bool IsGguf(const std::filesystem::path& model) { return model.extension() == ".gguf"; }

constexpr const char* kEmbedding = "model.embed_tokens.weight";

StatusOr<int64_t> RowsOfEmbedding(const weights::GgufFile& file) {
  const weights::TensorInfo* embedding = file.Find(kEmbedding);
  if (embedding == nullptr || embedding->shape.empty()) {
    return absl::InvalidArgumentError(
        StrCat(file.path().string(), " has no embedding; convert the model again"));
  }
  return embedding->shape[0];
}

// The metadata under `key`, or what the struct has by default.
template <typename T>
void Take(const weights::GgufMetadata& metadata, std::string_view key, T* out) {
  if (const T* found = metadata.Get<T>(key)) *out = *found;
}

void TakeId(const weights::GgufMetadata& metadata, std::string_view key, int64_t* out) {
  const std::optional<uint64_t> found = metadata.Count(key);
  if (found && *found <= static_cast<uint64_t>(std::numeric_limits<int32_t>::max()))
    *out = static_cast<int64_t>(*found);
}

tokenizer::GgufVocabulary VocabularyOf(const weights::GgufFile& file) {
  const weights::GgufMetadata& metadata = file.metadata();
  tokenizer::GgufVocabulary vocabulary;
  vocabulary.file = file.path().string();
  Take(metadata, "tokenizer.ggml.model", &vocabulary.model);
  // What llama.cpp takes a file without these keys to say.
  vocabulary.add_bos = vocabulary.add_space_prefix = vocabulary.model == "llama";
  Take(metadata, "tokenizer.ggml.pre", &vocabulary.pre);
  Take(metadata, "tokenizer.ggml.tokens", &vocabulary.tokens);
  Take(metadata, "tokenizer.ggml.merges", &vocabulary.merges);
  Take(metadata, "tokenizer.chat_template", &vocabulary.chat_template);
  Take(metadata, "tokenizer.ggml.add_bos_token", &vocabulary.add_bos);
  Take(metadata, "tokenizer.ggml.add_space_prefix", &vocabulary.add_space_prefix);
  if (const auto* types = metadata.Get<std::vector<int64_t>>("tokenizer.ggml.token_type")) {
    for (const int64_t type : *types) vocabulary.token_types.push_back(static_cast<int32_t>(type));
  }
  if (const auto* scores = metadata.Get<std::vector<double>>("tokenizer.ggml.scores"))
    vocabulary.scores.assign(scores->begin(), scores->end());
  TakeId(metadata, "tokenizer.ggml.bos_token_id", &vocabulary.bos_id);
  TakeId(metadata, "tokenizer.ggml.eos_token_id", &vocabulary.eos_id);
  TakeId(metadata, "tokenizer.ggml.padding_token_id", &vocabulary.pad_id);
  TakeId(metadata, "tokenizer.ggml.unknown_token_id", &vocabulary.unk_id);
  return vocabulary;
}

Status NoSuchEos(const std::filesystem::path& model, const std::string& eos_token) {
  return absl::InvalidArgumentError(StrCat("model.eos_token: \"", eos_token, "\" is not a token of ",
                                           model.string(),
                                           "; leave it out, or name one that its vocabulary has"));
}

}  // namespace

StatusOr<std::unique_ptr<tokenizer::Tokenizer>> OpenModelTokenizer(const std::filesystem::path& model,
                                                                   const std::string& eos_token) {
  std::unique_ptr<tokenizer::Tokenizer> opened;
  int64_t rows = 0;
  if (IsGguf(model)) {
    ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(model));
    ASSIGN_OR_RETURN(rows, RowsOfEmbedding(*file));
    tokenizer::GgufVocabulary vocabulary = VocabularyOf(*file);
    if (!eos_token.empty()) {
      const auto found = std::find(vocabulary.tokens.begin(), vocabulary.tokens.end(), eos_token);
      if (found == vocabulary.tokens.end()) return NoSuchEos(model, eos_token);
      vocabulary.eos_id = found - vocabulary.tokens.begin();
    }
    ASSIGN_OR_RETURN(opened, tokenizer::MakeGgufTokenizer(vocabulary));
  } else {
    ASSIGN_OR_RETURN(rows, VocabSizeOf(model));
    auto made = tokenizer::OpenTokenizer(model, rows, eos_token);
    if (!made.ok() && !eos_token.empty()) {  // The model's own files may be well.
      ASSIGN_OR_RETURN(const auto plain, tokenizer::OpenTokenizer(model, rows));
      if (!plain->TokenId(eos_token)) return NoSuchEos(model, eos_token);
    }
    ASSIGN_OR_RETURN(opened, std::move(made));
  }
  // Added tokens beyond the rows are left out already: what is left can come out of a text.
  if (opened->vocab_size() > rows) {
    return absl::InvalidArgumentError(
        StrCat(model.string(), ": the tokenizer has ", opened->vocab_size(), " ids, the model ", rows,
               "; the tokenizer belongs to another model, put this model's own tokenizer files there"));
  }
  return opened;
}

StatusOr<int64_t> VocabSizeOf(const std::filesystem::path& model) {
  if (IsGguf(model)) {
    ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(model));
    return RowsOfEmbedding(*file);
  }
  ASSIGN_OR_RETURN(const nlohmann::json config, ReadConfig(model));
  const nlohmann::json* size = FindSetting(config, "vocab_size");
  if (size == nullptr) size = FindSetting(config, "padded_vocab_size");
  const std::string path = (model / "config.json").string();
  RETURN_IF_ERROR(weights::CheckQuantization(config, path));
  if (size == nullptr)
    return absl::InvalidArgumentError(StrCat(path, ": vocab_size is missing; copy the model's folder again"));
  if (!size->is_number_integer() || size->get<int64_t>() < 1 || size->get<int64_t>() > kMaxVocab) {
    return absl::InvalidArgumentError(StrCat(path, ": vocab_size is not a positive whole number"));
  }
  return size->get<int64_t>();
}

StatusOr<Context> ContextOf(const std::filesystem::path& model) {
  const auto checked = [](int64_t positions) {
    return positions >= 1 && positions <= kMaxContext ? positions : 0;
  };
  if (IsGguf(model)) {
    ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(model));
    const auto* architecture = file->metadata().Get<std::string>("general.architecture");
    if (architecture == nullptr) return Context();
    const auto length = file->metadata().Count(StrCat(*architecture, ".context_length"));
    return Context{length && *length <= static_cast<uint64_t>(kMaxContext) ? static_cast<int64_t>(*length)
                                                                           : 0};
  }
  ASSIGN_OR_RETURN(const nlohmann::json config, ReadConfig(model));
  const auto number = [&](const char* key) {
    const nlohmann::json* value = FindSetting(config, key);
    return value != nullptr && value->is_number_integer() ? checked(value->get<int64_t>()) : 0;
  };
  if (const int64_t rows = number("n_positions"); rows > 0) return Context{rows, /*table=*/true};
  int64_t length = 0;
  for (const char* key : {"seq_length", "max_position_embeddings", "model_max_length"}) {
    if (length == 0) length = number(key);
  }
  // Dynamic scaling counts the positions before it stretches them.
  const nlohmann::json* scaling = FindSetting(config, "rope_scaling");
  if (length == 0 || scaling == nullptr || !scaling->is_object()) return Context{length};
  const char* const key = scaling->contains("rope_type") ? "rope_type" : "type";
  const bool dynamic = scaling->contains(key) && scaling->at(key) == "dynamic";
  if (!dynamic || !scaling->contains("factor") || !scaling->at("factor").is_number()) return Context{length};
  const double factor = scaling->at("factor").get<double>();
  if (!(factor >= 1 && factor <= 1024)) return Context{length};
  return Context{static_cast<int64_t>(static_cast<double>(length) * factor)};
}

Status WriteTokenizerFiles(const std::filesystem::path& gguf, const std::filesystem::path& dir) {
  ASSIGN_OR_RETURN(const auto file, weights::GgufFile::Open(gguf));
  ASSIGN_OR_RETURN(const tokenizer::TokenizerFiles files, tokenizer::MakeTokenizerFiles(VocabularyOf(*file)));
  if (!files.tokenizer_json.empty())
    RETURN_IF_ERROR(WriteFileDurably(dir / "tokenizer.json", files.tokenizer_json));
  if (!files.tokenizer_model.empty())
    RETURN_IF_ERROR(WriteFileDurably(dir / "tokenizer.model", files.tokenizer_model));
  return WriteFileDurably(dir / "tokenizer_config.json", files.tokenizer_config_json);
}

}  // namespace ft::prepare
