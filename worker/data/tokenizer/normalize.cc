#include "worker/data/tokenizer/normalize.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>

#include <algorithm>

namespace ft::tokenizer {
namespace {

Status IcuError(UErrorCode error) {
  return absl::InternalError(StrCat("Unicode normalisation failed: ", u_errorName(error)));
}

}  // namespace

const OffsetMap::Run& OffsetMap::RunAt(uint32_t normal) const {
  auto after = std::upper_bound(runs_.begin(), runs_.end(), normal,
                                [](uint32_t place, const Run& run) { return place < run.normal_begin; });
  return after == runs_.begin() ? *after : *(after - 1);
}

std::pair<uint32_t, uint32_t> OffsetMap::Source(uint32_t begin, uint32_t end) const {
  if (runs_.empty()) return {begin, end};
  const Run& first = RunAt(begin);
  const uint32_t source_begin =
      first.changed ? first.source_begin : first.source_begin + (begin - first.normal_begin);
  if (end <= begin) return {source_begin, source_begin};
  const Run& last = RunAt(end - 1);
  const uint32_t source_end = last.changed ? last.source_end : last.source_begin + (end - last.normal_begin);
  return {source_begin, source_end};
}

StatusOr<NormalizedText> Normalize(Normalization form, std::string_view source) {
  NormalizedText result;
  if (form == Normalization::kNone || source.empty()) return result;
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = form == Normalization::kNfc ? icu::Normalizer2::getNFCInstance(error)
                                                                   : icu::Normalizer2::getNFKCInstance(error);
  if (U_FAILURE(error)) return IcuError(error);
  const icu::StringPiece piece(source.data(), static_cast<int32_t>(source.size()));
  const bool already = normalizer->isNormalizedUTF8(piece, error);
  if (U_FAILURE(error)) return IcuError(error);
  if (already) return result;
  icu::Edits edits;
  icu::StringByteSink<std::string> sink(&result.text, static_cast<int32_t>(source.size()));
  normalizer->normalizeUTF8(0, piece, sink, &edits, error);
  if (U_FAILURE(error)) return IcuError(error);
  icu::Edits::Iterator run = edits.getFineIterator();
  while (run.next(error)) {
    result.map.Add({static_cast<uint32_t>(run.destinationIndex()), static_cast<uint32_t>(run.sourceIndex()),
                    static_cast<uint32_t>(run.sourceIndex() + run.oldLength()),
                    static_cast<bool>(run.hasChange())});
  }
  if (U_FAILURE(error)) return IcuError(error);
  result.changed = true;
  return result;
}

}  // namespace ft::tokenizer
