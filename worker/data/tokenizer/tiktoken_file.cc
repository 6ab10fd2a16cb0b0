#include "worker/data/tokenizer/tiktoken_file.h"

#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "core/base/file.h"
#include "worker/data/tokenizer/bpe.h"
#include "worker/data/tokenizer/text_tokenizer.h"
#include "worker/data/tokenizer/vocabulary_builder.h"

namespace ft::tokenizer {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{256} << 20;
constexpr size_t kLlama3Ranks = 128'000;

// What the rank file leaves out.
struct Family {
  std::string_view pattern;
  Normalization normalization = Normalization::kNone;
  std::vector<std::string> special_tokens;  // Ids from the number of ranks on.
  std::optional<std::string> bos, eos;
  bool adds_bos = false;
};

Family Qwen() {
  Family family{.pattern = kQwenPattern, .normalization = Normalization::kNfc};
  family.special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  for (int i = 0; i < 205; ++i) family.special_tokens.push_back(StrCat("<|extra_", i, "|>"));
  family.eos = "<|endoftext|>";
  return family;
}

Family Llama3() {
  Family family{.pattern = kLlama3Pattern};
  family.special_tokens = {"<|begin_of_text|>",
                           "<|end_of_text|>",
                           "<|reserved_special_token_0|>",
                           "<|reserved_special_token_1|>",
                           "<|finetune_right_pad_id|>",
                           "<|step_id|>",
                           "<|start_header_id|>",
                           "<|end_header_id|>",
                           "<|eom_id|>",
                           "<|eot_id|>",
                           "<|python_tag|>"};
  for (int i = 2; family.special_tokens.size() < 256; ++i) {
    family.special_tokens.push_back(StrCat("<|reserved_special_token_", i, "|>"));
  }
  family.bos = "<|begin_of_text|>";
  family.eos = "<|end_of_text|>";
  family.adds_bos = true;
  return family;
}

struct RankLine {
  std::string bytes;
  int64_t rank = -1;
};

std::optional<RankLine> ParseLine(std::string_view line) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  RankLine parsed;
  if (!absl::Base64Unescape(ToAbsl(line.substr(0, space)), &parsed.bytes) || parsed.bytes.empty())
    return std::nullopt;
  const std::string_view rank = line.substr(space + 1);
  const auto [end, error] = std::from_chars(rank.data(), rank.data() + rank.size(), parsed.rank);
  if (error != std::errc() || end != rank.data() + rank.size()) return std::nullopt;
  return parsed;
}

std::vector<std::string_view> Lines(std::string_view content) {
  std::vector<std::string_view> lines;
  while (!content.empty()) {
    const size_t end = content.find('\n');
    std::string_view line = content.substr(0, end);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

StatusOr<Family> FamilyOf(const std::filesystem::path& path, size_t ranks) {
  if (path.filename() == "qwen.tiktoken") return Qwen();
  if (ranks == kLlama3Ranks) return Llama3();
  return absl::InvalidArgumentError(StrCat(path.string(), ": a tiktoken file of ", ranks,
                                           " ranks is of no known family (Qwen's qwen.tiktoken, Llama 3's "
                                           "with 128000); use the model's tokenizer.json"));
}

Status ReadRanks(const std::vector<std::string_view>& lines, VocabularyBuilder* builder) {
  for (size_t i = 0; i < lines.size(); ++i) {
    std::optional<RankLine> line = ParseLine(lines[i]);
    if (!line) {
      return absl::InvalidArgumentError(
          StrCat(builder->file(), ": line ", i + 1, " is not a token in base64, a space and its rank"));
    }
    if (line->rank < 0 || line->rank >= static_cast<int64_t>(lines.size())) {
      return absl::InvalidArgumentError(StrCat(builder->file(), ": line ", i + 1, " has the rank ",
                                               line->rank, " in a file of ", lines.size(), " ranks"));
    }
    std::string content = line->bytes;
    RETURN_IF_ERROR(builder->AddPiece(line->rank, content, std::move(line->bytes), /*in_model=*/true));
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (!builder->Find(std::string(1, static_cast<char>(byte)))) {
      return absl::InvalidArgumentError(StrCat(builder->file(), ": there is no rank for the byte ", byte));
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool LooksLikeTiktoken(std::string_view content) {
  const std::vector<std::string_view> lines = Lines(content.substr(0, content.substr(0, 4096).find('\n')));
  return lines.size() == 1 && ParseLine(lines[0]).has_value();
}

StatusOr<std::unique_ptr<Tokenizer>> ReadTiktokenFile(const std::filesystem::path& path,
                                                      const TokenizerConfig& config) {
  ASSIGN_OR_RETURN(const std::string content, ReadFile(path, kMaxFileBytes));
  const std::vector<std::string_view> lines = Lines(content);
  ASSIGN_OR_RETURN(const Family family, FamilyOf(path, lines.size()));
  VocabularyBuilder builder(path.string(), lines.size());
  RETURN_IF_ERROR(ReadRanks(lines, &builder));
  auto next_id = static_cast<int32_t>(lines.size());
  for (const std::string& name : family.special_tokens) {
    RETURN_IF_ERROR(builder.AddAdded({.id = next_id++, .content = name, .special = true}, name));
  }
  TokenizerConfig names = config;
  if (!names.bos_token) names.bos_token = family.bos;
  if (!names.eos_token) names.eos_token = family.eos;
  ASSIGN_OR_RETURN(TokenizerTraits traits, ResolveTraits(names, &builder));
  traits.adds_bos = config.add_bos_token.value_or(family.adds_bos);
  traits.vocab_size = static_cast<int32_t>(builder.size());
  PreTokenizer pre_tokenizer;
  RETURN_IF_ERROR(pre_tokenizer.AddPattern(family.pattern));
  return MakeTextTokenizer({.model = BpeModel::FromRanks(builder.TakeVocabulary()),
                            .pre_tokenizer = std::move(pre_tokenizer),
                            .added = builder.TakeAdded(),
                            .normalizer = Normalizer(family.normalization),
                            .normalize_whole = true},
                           std::move(traits));
}

}  // namespace ft::tokenizer
