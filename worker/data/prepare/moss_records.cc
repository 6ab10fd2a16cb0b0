#include "worker/data/prepare/moss_records.h"

#include <algorithm>
#include <utility>

#include "core/base/excerpt.h"

namespace ft::prepare {
namespace {

constexpr std::string_view kName = "MOSS", kToolResult = "Tool Responses";

void Append(const std::vector<int32_t>& ids, uint8_t loss, Sample* sample) {
  sample->ids.insert(sample->ids.end(), ids.begin(), ids.end());
  sample->loss_mask.insert(sample->loss_mask.end(), ids.size(), loss);
}

Status Error(const data::Record& record, std::string_view why) {
  return absl::InvalidArgumentError(StrCat(data::Describe(record.origin), ": ", why));
}

}  // namespace

StatusOr<MossReader> MossReader::Open(const tokenizer::Tokenizer& tokenizer, const MossOptions& options) {
  MossReader reader(tokenizer, options);
  ASSIGN_OR_RETURN(const std::vector<int32_t> front, tokenizer.Encode("<|Results|>:"));
  ASSIGN_OR_RETURN(const std::vector<int32_t> end, tokenizer.Encode("<eor>\n"));
  reader.learnt_front_ = front.size();
  reader.learnt_end_ = end.size();
  return reader;
}

std::string MossReader::Named(std::string text) const {
  if (options_.bot_name.empty()) return text;
  std::string named;
  size_t begin = 0;
  for (size_t at = 0; (at = text.find(kName, begin)) != std::string::npos; begin = at + kName.size())
    StrAppend(&named, std::string_view(text).substr(begin, at - begin), options_.bot_name);
  return named + text.substr(begin);
}

StatusOr<Sample> MossReader::ReadTurn(const nlohmann::ordered_json& turn) const {
  Sample sample;
  for (const auto& [part, text] : turn.items()) {
    if (!text.is_string())
      return absl::InvalidArgumentError(StrCat("\"", Excerpt(part, 40), "\" is no text"));
    ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer_->Encode(Named(text.get<std::string>())));
    const size_t begin = sample.ids.size();
    Append(ids, 1, &sample);
    if (part != kToolResult) continue;
    const size_t first = std::min(learnt_front_, ids.size());
    const size_t last = ids.size() - std::min(learnt_end_, ids.size());
    for (size_t i = first; i < last; ++i) sample.loss_mask[begin + i] = 0;
  }
  return sample;
}

StatusOr<Sample> MossReader::Read(const data::Record& record) const {
  const data::Field* meta = record.Find("meta_instruction");
  const data::Field* chat = record.Find("chat");
  if (meta == nullptr || meta->kind != data::FieldKind::kText)
    return Error(record, "\"meta_instruction\" must be a text");
  if (chat == nullptr || chat->kind != data::FieldKind::kNested || !chat->nested.is_object())
    return Error(record, "\"chat\" must be an object of turn_1, turn_2 and so on");
  Sample sample;
  StatusOr<std::vector<int32_t>> ids =
      tokenizer_->Encode(Named(meta->text), {.add_bos = tokenizer_->adds_bos()});
  if (!ids.ok()) return WithContext(ids.status(), data::Describe(record.origin));
  Append(*ids, 0, &sample);
  const size_t without_turns = sample.ids.size();
  for (size_t number = 1; number <= chat->nested.size(); ++number) {
    const auto turn = chat->nested.find(StrCat("turn_", number));
    if (turn == chat->nested.end() || !turn->is_object())
      return Error(record, StrCat("\"chat\" has no object \"turn_", number, "\""));
    StatusOr<Sample> read = ReadTurn(*turn);
    if (!read.ok())
      return WithContext(read.status(), StrCat(data::Describe(record.origin), ": turn_", number));
    if (sample.ids.size() + read->ids.size() > static_cast<size_t>(options_.max_length)) break;
    sample.ids.insert(sample.ids.end(), read->ids.begin(), read->ids.end());
    sample.loss_mask.insert(sample.loss_mask.end(), read->loss_mask.begin(), read->loss_mask.end());
  }
  if (sample.ids.size() == without_turns) return Sample();
  return sample;
}

}  // namespace ft::prepare
