#include <system_error>

#include "core/base/file.h"
#include "worker/data/tokenizer/hf_tokenizer_json.h"
#include "worker/data/tokenizer/sentencepiece_model.h"
#include "worker/data/tokenizer/sentencepiece_tokenizer.h"
#include "worker/data/tokenizer/tiktoken_file.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/tokenizer_config.h"
#include "worker/data/tokenizer/vocab_and_merges.h"

namespace ft::tokenizer {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxModelFileBytes = uint64_t{256} << 20;

bool Exists(const fs::path& path) {
  std::error_code error;
  return fs::exists(path, error);
}

}  // namespace

StatusOr<std::unique_ptr<Tokenizer>> OpenTokenizer(const fs::path& model_folder, int64_t rows,
                                                   std::string_view eos_token) {
  std::error_code error;
  if (!fs::is_directory(model_folder, error)) {
    return absl::NotFoundError(StrCat(model_folder.string(), " is not a folder with a model"));
  }
  ASSIGN_OR_RETURN(TokenizerConfig config, ReadTokenizerConfig(model_folder));
  config.rows = rows;
  if (!eos_token.empty()) config.eos_token = eos_token;
  if (const fs::path json = model_folder / "tokenizer.json"; Exists(json))
    return ReadTokenizerJson(json, config);
  if (const fs::path ranks = model_folder / "qwen.tiktoken"; Exists(ranks))
    return ReadTiktokenFile(ranks, config);
  const fs::path model = model_folder / "tokenizer.model";
  if (Exists(model)) {
    ASSIGN_OR_RETURN(const std::string content, ReadFile(model, kMaxModelFileBytes));
    if (LooksLikeTiktoken(content)) return ReadTiktokenFile(model, config);
    if (!LooksLikeSentencePiece(content)) {
      return absl::InvalidArgumentError(
          StrCat(model.string(),
                 " is neither a SentencePiece model nor a tiktoken file; copy or download it again"));
    }
    RETURN_IF_ERROR(ReadAddedTokensFile(model_folder, config));
    return ReadSentencePieceFile(model, content, config);
  }
  if (Exists(model_folder / "vocab.json") && Exists(model_folder / "merges.txt"))
    return ReadVocabAndMerges(model_folder, config);
  return absl::NotFoundError(
      StrCat(model_folder.string(),
             " holds no vocabulary: tokenizer.json, qwen.tiktoken, tokenizer.model, or "
             "vocab.json with merges.txt is needed; copy the model's folder again"));
}

}  // namespace ft::tokenizer
