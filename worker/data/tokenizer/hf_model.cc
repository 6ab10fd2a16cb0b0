#include "worker/data/tokenizer/hf_model.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker/data/tokenizer/bpe.h"
#include "worker/data/tokenizer/byte_level.h"
#include "worker/data/tokenizer/hf_text_steps.h"
#include "worker/data/tokenizer/unigram.h"

namespace ft::tokenizer {
namespace {

using nlohmann::json;

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

Status AddPiece(int64_t id, const std::string& content, bool byte_level, VocabularyBuilder* builder) {
  std::optional<std::string> bytes = byte_level ? ByteLevelToBytes(content) : content;
  const bool in_model = bytes.has_value() && !bytes->empty();
  return builder->AddPiece(id, content, std::move(bytes).value_or(content), in_model);
}

// Unigram: a list of [piece, score].
Status ReadScoredPieces(const JsonObject& model, bool byte_level, VocabularyBuilder* builder) {
  ASSIGN_OR_RETURN(const json* list, model.Array("vocab"));
  if (list == nullptr) return model.Fail("vocab", "is missing");
  for (size_t i = 0; i < list->size(); ++i) {
    const json& entry = (*list)[i];
    const bool sound = entry.is_array() && entry.size() == 2 && entry[0].is_string() &&
                       entry[1].is_number() && std::isfinite(entry[1].get<double>());
    if (!sound) return model.Fail(StrCat("vocab[", i, "]"), "is not a piece with its score");
    RETURN_IF_ERROR(
        AddPiece(static_cast<int64_t>(i), entry[0].get_ref<const std::string&>(), byte_level, builder));
  }
  return absl::OkStatus();
}

StatusOr<UnknownRule> ReadUnknown(const JsonObject& model, const VocabularyBuilder& builder) {
  UnknownRule rule;
  ASSIGN_OR_RETURN(const std::optional<bool> byte_fallback, model.Bool("byte_fallback"));
  if (byte_fallback.value_or(false)) rule.byte_tokens = ByteTokens(builder);
  if (IsUnigram(model)) {
    rule.fuse = true;
    ASSIGN_OR_RETURN(const std::optional<int64_t> id, model.Integer("unk_id"));
    if (!id || *id < 0 || *id >= static_cast<int64_t>(builder.size()))
      return model.Fail("unk_id", "is not an id of the vocabulary");
    rule.unknown_id = static_cast<int32_t>(*id);
    return rule;
  }
  ASSIGN_OR_RETURN(const std::optional<bool> fuse, model.Bool("fuse_unk"));
  rule.fuse = fuse.value_or(false);
  ASSIGN_OR_RETURN(const std::optional<std::string> unknown, model.String("unk_token"));
  if (!unknown) return rule;
  const std::optional<int32_t> id = builder.Find(*unknown);
  if (!id) return model.Fail("unk_token", StrCat("\"", *unknown, "\" is not in the vocabulary"));
  rule.unknown_id = *id;
  return rule;
}

// A score as the original reads it. serde_json, without its feature float_roundtrip, divides the digits of a number by a power of
// ten: that is off by a unit in the last place at times, which decides between paths of equal scores.
double AsTheOriginalReads(const json& number) {
  if (number.is_number_integer()) return number.get<double>();
  std::array<char, 32> text;
  const double value = std::abs(number.get<double>());
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::scientific).ptr;
  uint64_t digits = 0;
  int exponent = 0;
  const char* at = text.data();
  for (; at != end && *at != 'e'; ++at) {
    if (*at == '.') continue;
    digits = 10 * digits + static_cast<uint64_t>(*at - '0');
    --exponent;
  }
  ++exponent;  // The first digit stands before the point.
  int power = 0;
  at += at[1] == '+' ? 2 : 1;
  std::from_chars(at, end, power);
  exponent += power;
  if (std::abs(exponent) > std::numeric_limits<double>::max_exponent10) return number.get<double>();
  const std::string ten = StrCat("1e", std::abs(exponent));
  double scale = 1;
  std::from_chars(ten.data(), ten.data() + ten.size(), scale);
  const double read =
      exponent < 0 ? static_cast<double>(digits) / scale : static_cast<double>(digits) * scale;
  return std::signbit(number.get<double>()) ? -read : read;
}

std::unique_ptr<SubwordModel> MakeUnigram(const JsonObject& model, const UnknownRule& unknown,
                                          Vocabulary vocabulary) {
  std::vector<double> scores(vocabulary.bytes.size(), 0);
  const json& list = *model.Find("vocab");
  for (size_t i = 0; i < list.size(); ++i) scores[i] = AsTheOriginalReads(list[i][1]);
  return UnigramModel::Make(std::move(vocabulary), std::move(scores), {.unknown = unknown});
}

}  // namespace

bool IsUnigram(const JsonObject& model) {
  const json* type = model.Find("type");
  return type != nullptr && *type == "Unigram";
}

Status CheckModel(const JsonObject& model) {
  ASSIGN_OR_RETURN(const std::optional<std::string> type, model.String("type"));
  if (type == "Unigram") return absl::OkStatus();
  if (type.value_or("BPE") != "BPE") return Unsupported(model, *type);
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    ASSIGN_OR_RETURN(const std::optional<std::string> text, model.String(affix));
    if (!text.value_or("").empty()) return model.Fail(affix, StrCat("\"", *text, "\" is not supported"));
  }
  if (const json* dropout = model.Find("dropout"); dropout != nullptr && *dropout != 0.0) {
    return model.Fail("dropout", "is not supported");
  }
  return absl::OkStatus();
}

Status ReadPieces(const JsonObject& model, bool byte_level, VocabularyBuilder* builder) {
  if (IsUnigram(model)) return ReadScoredPieces(model, byte_level, builder);
  ASSIGN_OR_RETURN(const std::optional<JsonObject> vocabulary, model.Object("vocab"));
  if (!vocabulary) return model.Fail("vocab", "is missing");
  for (const auto& [content, id] : vocabulary->value->items()) {
    if (!id.is_number_integer()) return vocabulary->Fail(content, "is not an integer id");
    RETURN_IF_ERROR(AddPiece(id.get<int64_t>(), content, byte_level, builder));
  }
  return absl::OkStatus();
}

StatusOr<std::unique_ptr<SubwordModel>> MakeModel(const JsonObject& model, bool byte_level,
                                                  VocabularyBuilder* builder) {
  ASSIGN_OR_RETURN(UnknownRule unknown, ReadUnknown(model, *builder));
  if (IsUnigram(model)) return MakeUnigram(model, unknown, builder->TakeVocabulary());
  ASSIGN_OR_RETURN(const std::vector<BpeModel::Rule> merges, ReadMerges(model, *builder));
  ASSIGN_OR_RETURN(const std::optional<bool> ignore_merges, model.Bool("ignore_merges"));
  BpeOptions options{.characters = !byte_level,
                     .whole_words_first = ignore_merges.value_or(false),
                     .unknown = std::move(unknown),
                     .whole_texts = !byte_level};
  return BpeModel::FromMerges(builder->TakeVocabulary(), merges, std::move(options));
}

std::array<int32_t, 256> ByteTokens(const VocabularyBuilder& builder) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::array<int32_t, 256> ids;
  for (size_t byte = 0; byte < ids.size(); ++byte) {
    const std::string name = StrCat("<0x", kDigits.substr(byte / 16, 1), kDigits.substr(byte % 16, 1), ">");
    ids[byte] = builder.Find(name).value_or(-1);
  }
  return ids;
}

}  // namespace ft::tokenizer
