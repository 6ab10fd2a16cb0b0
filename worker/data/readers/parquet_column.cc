#include "worker/data/readers/parquet_column.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <utility>

#include "worker/data/readers/parquet_unpack.h"

namespace ft::data {
namespace {

constexpr uint64_t kMaxHeldBytes = uint64_t{1} << 30;
constexpr int64_t kRunEncoding = 3;

int LevelWidth(int most) { return std::bit_width(static_cast<unsigned>(most)); }

}  // namespace

Status ParquetMemory::Hold(uint64_t bytes) {
  held_ += bytes;
  if (held_ <= kMaxHeldBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "the pages that are read together take more than 1 GiB; write it with smaller pages");
}

ParquetColumn::ParquetColumn(const RandomAccessFile& file, const ParquetLeaf& leaf, ParquetMemory& memory)
    : file_(file), leaf_(leaf), memory_(memory) {}

ParquetColumn::~ParquetColumn() { Drop(); }

Status ParquetColumn::Damaged(std::string_view why) const {
  return absl::InvalidArgumentError(StrCat(file_.path().string(), ": column \"", leaf_.path, "\": ", why));
}

void ParquetColumn::Drop() {
  values_.reset();
  memory_.Release(held_);
  held_ = 0;
  page_.clear();
  levels_.clear();
}

Status ParquetColumn::Begin(const ParquetChunk& chunk, uint64_t end) {
  Drop();
  dictionary_.reset();
  chunk_ = chunk;
  if (chunk.elsewhere)
    return Damaged("lies in another file or is encrypted; write it into one file, not encrypted");
  if (chunk.type != leaf_.type || chunk.values < 0 || chunk.bytes < 0 || chunk.data_at < 0 ||
      chunk.dictionary_at < 0)
    return Damaged("its description is damaged; download or copy the file again");
  // A dictionary stands in front; some writers say 0 where there is none.
  const bool dictionary = chunk.dictionary_at > 0 && chunk.dictionary_at < chunk.data_at;
  pos_ = static_cast<uint64_t>(dictionary ? chunk.dictionary_at : chunk.data_at);
  if (pos_ > end || static_cast<uint64_t>(chunk.bytes) > end - pos_)
    return Damaged("lies behind the end of the file, which was probably cut off; download or copy it again");
  end_ = pos_ + static_cast<uint64_t>(chunk.bytes);
  entries_left_ = chunk.values;
  page_left_ = 0;
  return Advance();
}

Status ParquetColumn::Advance() {
  while (page_left_ == 0) {
    ASSIGN_OR_RETURN(any_, NextPage());
    if (!any_) {
      definition_ = repetition_ = 0;
      return absl::OkStatus();
    }
  }
  --page_left_;
  uint32_t definition = 0, repetition = 0;
  if ((leaf_.max_definition > 0 && !definitions_.Next(&definition)) ||
      (leaf_.max_repetition > 0 && !repetitions_.Next(&repetition)) ||
      definition > static_cast<uint32_t>(leaf_.max_definition) ||
      repetition > static_cast<uint32_t>(leaf_.max_repetition))
    return Damaged("its levels are damaged; download or copy the file again");
  definition_ = static_cast<int>(definition);
  repetition_ = static_cast<int>(repetition);
  if (has_value() && !values_->Next(&value_))
    return Damaged("a page holds fewer values than it says; download or copy the file again");
  return absl::OkStatus();
}

StatusOr<bool> ParquetColumn::NextPage() {
  while (entries_left_ > 0) {
    ASSIGN_OR_RETURN(const std::optional<ParquetPage> page, ReadParquetPage(file_, pos_, end_));
    if (!page) return Damaged("the header of a page is damaged; download or copy the file again");
    pos_ += page->header_bytes;
    if (page->size < 0 || page->packed < 0 || page->values < 0 ||
        static_cast<uint64_t>(page->packed) > end_ - pos_)
      return Damaged("the header of a page is damaged; download or copy the file again");
    const uint64_t at = pos_;
    pos_ += static_cast<uint64_t>(page->packed);
    if (page->kind == ParquetPage::Kind::kOther) continue;
    if (static_cast<uint64_t>(page->packed) > kMaxParquetPageBytes)
      return Damaged("a page is longer than 256 MiB; write it with smaller pages");
    Drop();
    std::string packed(static_cast<size_t>(page->packed), '\0');
    RETURN_IF_ERROR(file_.ReadAt(at, std::as_writable_bytes(std::span(packed))));
    if (page->kind == ParquetPage::Kind::kDictionary) {
      RETURN_IF_ERROR(TakeDictionary(*page, std::move(packed)));
      continue;
    }
    if (page->values > entries_left_)
      return Damaged("its pages hold more than it says; download or copy the file again");
    entries_left_ -= page->values;
    page_left_ = page->values;
    RETURN_IF_ERROR(page->kind == ParquetPage::Kind::kData ? TakeData(*page, std::move(packed))
                                                           : TakeDataV2(*page, std::move(packed)));
    if (page_left_ > 0) return true;
  }
  Drop();
  dictionary_.reset();
  return false;
}

StatusOr<std::string> ParquetColumn::Unpack(std::string packed, int64_t size) const {
  StatusOr<std::string> bytes = UnpackParquet(chunk_.codec, std::move(packed), static_cast<uint64_t>(size));
  if (!bytes.ok()) return Damaged(Message(bytes.status()));
  return bytes;
}

Status ParquetColumn::Keep(std::string page) {
  page_ = std::move(page);
  held_ = page_.size() + levels_.size() + (dictionary_ == nullptr ? 0 : dictionary_->bytes());
  const Status held = memory_.Hold(held_);
  return held.ok() ? held : Damaged(Message(held));
}

Status ParquetColumn::TakeDictionary(const ParquetPage& page, std::string packed) {
  if (dictionary_ != nullptr) return Damaged("it has two dictionaries; download or copy the file again");
  ASSIGN_OR_RETURN(std::string bytes, Unpack(std::move(packed), page.size));
  StatusOr<ParquetDictionary> made = ParquetDictionary::Make(leaf_, std::move(bytes), page.values);
  if (!made.ok()) return Damaged(StrCat(Message(made.status()), "; download or copy the file again"));
  dictionary_ = std::make_unique<ParquetDictionary>(*std::move(made));
  return Keep("");
}

// Levels with their length in front, before the values.
Status ParquetColumn::TakeLevels(const ParquetPage& page, std::string_view* bytes) {
  const auto take = [&](int most, ParquetRuns* runs) {
    if (most == 0) return true;
    uint32_t size = 0;
    if (bytes->size() < sizeof(size)) return false;
    std::memcpy(&size, bytes->data(), sizeof(size));
    bytes->remove_prefix(sizeof(size));
    if (size > bytes->size()) return false;
    *runs = ParquetRuns(bytes->substr(0, size), LevelWidth(most));
    bytes->remove_prefix(size);
    return true;
  };
  const bool levels = leaf_.max_definition > 0 || leaf_.max_repetition > 0;
  if (levels && page.level_encoding != kRunEncoding)
    return Damaged(StrCat("its levels are written in encoding ", page.level_encoding,
                          ", which is not read; write the file anew"));
  if (!take(leaf_.max_repetition, &repetitions_) || !take(leaf_.max_definition, &definitions_))
    return Damaged("its levels are damaged; download or copy the file again");
  return absl::OkStatus();
}

Status ParquetColumn::TakeData(const ParquetPage& page, std::string packed) {
  ASSIGN_OR_RETURN(std::string bytes, Unpack(std::move(packed), page.size));
  RETURN_IF_ERROR(Keep(std::move(bytes)));
  std::string_view rest = page_;
  RETURN_IF_ERROR(TakeLevels(page, &rest));
  return BeginValues(page, rest);
}

// Levels stand in front, never packed, with their lengths in the header.
Status ParquetColumn::TakeDataV2(const ParquetPage& page, std::string packed) {
  const int64_t room = std::min(page.packed, page.size);
  if (page.definition_bytes < 0 || page.repetition_bytes < 0 || page.definition_bytes > room ||
      page.repetition_bytes > room - page.definition_bytes)
    return Damaged("its levels are damaged; download or copy the file again");
  const int64_t levels = page.definition_bytes + page.repetition_bytes;
  levels_ = packed.substr(0, static_cast<size_t>(levels));
  const std::string_view all = levels_;
  const auto repetition_bytes = static_cast<size_t>(page.repetition_bytes);
  repetitions_ = ParquetRuns(all.substr(0, repetition_bytes), LevelWidth(leaf_.max_repetition));
  definitions_ = ParquetRuns(all.substr(repetition_bytes), LevelWidth(leaf_.max_definition));
  packed.erase(0, static_cast<size_t>(levels));
  if (page.is_packed && !packed.empty()) {
    ASSIGN_OR_RETURN(packed, Unpack(std::move(packed), page.size - levels));
  }
  RETURN_IF_ERROR(Keep(std::move(packed)));
  return BeginValues(page, page_);
}

Status ParquetColumn::BeginValues(const ParquetPage& page, std::string_view bytes) {
  StatusOr<std::unique_ptr<ParquetDecoder>> decoder =
      MakeParquetDecoder(leaf_, {.encoding = page.encoding,
                                 .bytes = bytes,
                                 .most = static_cast<uint64_t>(page.values),
                                 .dictionary = dictionary_.get()});
  if (!decoder.ok()) return Damaged(StrCat(Message(decoder.status()), "; write or download the file again"));
  values_ = *std::move(decoder);
  return absl::OkStatus();
}

}  // namespace ft::data
