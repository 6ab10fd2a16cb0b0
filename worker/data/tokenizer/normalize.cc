#include "worker/data/tokenizer/normalize.h"

#include <unicode/bytestream.h>
#include <unicode/edits.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>

#include <algorithm>

namespace ft::tokenizer {
namespace {

// A step's result: the text, and the way back if it was asked for.
struct Changed {
  std::string text;
  OffsetMap map;
  size_t most = 0;  // Bytes that the text may have.
};

Status IcuError(UErrorCode error) {
  return absl::InternalError(StrCat("Unicode normalisation failed: ", u_errorName(error)));
}

const icu::Normalizer2* IcuNormalizer(Normalization form, UErrorCode& error) {
  switch (form) {
    case Normalization::kNfd: return icu::Normalizer2::getNFDInstance(error);
    case Normalization::kNfkc: return icu::Normalizer2::getNFKCInstance(error);
    case Normalization::kNfkd: return icu::Normalizer2::getNFKDInstance(error);
    default: return icu::Normalizer2::getNFCInstance(error);
  }
}

bool IsAscii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

// Each step answers whether it changed something.
StatusOr<bool> Apply(Normalization form, std::string_view source, bool places, Changed* out) {
  if (form == Normalization::kNone || IsAscii(source)) return false;
  UErrorCode error = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = IcuNormalizer(form, error);
  if (U_FAILURE(error)) return IcuError(error);
  const icu::StringPiece piece(source.data(), static_cast<int32_t>(source.size()));
  const bool already = normalizer->isNormalizedUTF8(piece, error);
  if (U_FAILURE(error)) return IcuError(error);
  if (already) return false;
  icu::Edits edits;
  icu::StringByteSink<std::string> sink(&out->text, static_cast<int32_t>(source.size()));
  normalizer->normalizeUTF8(0, piece, sink, places ? &edits : nullptr, error);
  if (U_FAILURE(error)) return IcuError(error);
  if (!places) return true;
  icu::Edits::Iterator run = edits.getFineIterator();
  while (run.next(error)) {
    out->map.Add({static_cast<uint32_t>(run.destinationIndex()), static_cast<uint32_t>(run.sourceIndex()),
                  static_cast<uint32_t>(run.sourceIndex() + run.oldLength()),
                  static_cast<bool>(run.hasChange())});
  }
  if (U_FAILURE(error)) return IcuError(error);
  return true;
}

StatusOr<bool> Apply(const PrependText& prepend, std::string_view source, bool places, Changed* out) {
  if (source.empty() || prepend.text.empty()) return false;
  out->text.reserve(prepend.text.size() + source.size());
  out->text.append(prepend.text).append(source);
  if (!places) return true;
  out->map.Add({0, 0, 0, /*changed=*/true});
  out->map.Add({static_cast<uint32_t>(prepend.text.size()), 0, static_cast<uint32_t>(source.size()), false});
  return true;
}

StatusOr<std::vector<Regex::Match>> Matches(const ReplaceText& replace, std::string_view source) {
  std::vector<Regex::Match> matches;
  if (replace.literal.empty()) {
    RETURN_IF_ERROR(replace.pattern->FindAll(source, &matches));
    return matches;
  }
  for (size_t at = source.find(replace.literal); at != std::string_view::npos;
       at = source.find(replace.literal, at + replace.literal.size())) {
    matches.push_back({static_cast<uint32_t>(at), static_cast<uint32_t>(at + replace.literal.size())});
  }
  return matches;
}

StatusOr<bool> Apply(const ReplaceText& replace, std::string_view source, bool places, Changed* out) {
  ASSIGN_OR_RETURN(const std::vector<Regex::Match> matches, Matches(replace, source));
  if (matches.empty()) return false;
  if (source.size() + matches.size() * replace.content.size() > out->most) {
    return absl::ResourceExhaustedError(
        StrCat("a text grows beyond ", out->most, " bytes when the tokenizer's normalizer replaces in it"));
  }
  out->text.reserve(source.size() + matches.size() * replace.content.size());
  uint32_t done = 0;
  const auto copy = [&](uint32_t end) {
    if (end > done && places)
      out->map.Add({static_cast<uint32_t>(out->text.size()), done, end, /*changed=*/false});
    out->text.append(source.substr(done, end - done));
  };
  for (const Regex::Match& match : matches) {
    copy(match.begin);
    if (places)
      out->map.Add({static_cast<uint32_t>(out->text.size()), match.begin, match.end, /*changed=*/true});
    out->text.append(replace.content);
    done = match.end;
  }
  copy(static_cast<uint32_t>(source.size()));
  return true;
}

StatusOr<bool> Apply(const SentencePieceNormalizer& rules, std::string_view source, bool places,
                     Changed* out) {
  return rules.Apply(source, &out->text, places ? &out->map : nullptr);
}

}  // namespace

StatusOr<NormalizedText> Normalizer::Apply(std::string_view source, bool places) const {
  NormalizedText result;
  for (const Step& step : steps_) {
    Changed changed{.most = LongestChange(source.size())};
    const std::string_view text = result.view(source);
    ASSIGN_OR_RETURN(
        const bool did,
        std::visit([&](const auto& kind) { return ::ft::tokenizer::Apply(kind, text, places, &changed); },
                   step));
    if (!did) continue;
    result.text = std::move(changed.text);
    result.changed = true;
    if (places) result.maps.push_back(std::move(changed.map));
  }
  return result;
}

}  // namespace ft::tokenizer
