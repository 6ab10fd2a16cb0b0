#include "worker/data/tokenizer/sentencepiece_model.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "core/base/excerpt.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/data/tokenizer/utf8.h"

namespace ft::tokenizer {
namespace {

constexpr size_t kMaxPieceBytes = 512;
constexpr size_t kMaxCharsmapBytes = size_t{64} << 20;

// One field of a message on the wire: a number (varint or fixed), or bytes.
struct Field {
  uint32_t number = 0;
  uint64_t value = 0;
  std::string_view bytes;
  bool is_bytes = false;
};

// Walks over the fields of a message; see protobuf.dev/programming-guides/encoding.
class WireReader {
 public:
  explicit WireReader(std::string_view message) : rest_(message) {}
  bool done() const { return rest_.empty(); }
  // False when the message is broken here.
  bool Next(Field* field) {
    uint64_t tag = 0;
    if (!Varint(&tag) || (tag >> 3) == 0 || (tag >> 3) > UINT32_MAX) return false;
    *field = {.number = static_cast<uint32_t>(tag >> 3)};
    switch (tag & 7) {
      case 0: return Varint(&field->value);
      case 1: return Fixed(8, &field->value);
      case 2: {
        uint64_t size = 0;
        if (!Varint(&size) || size > rest_.size()) return false;
        field->bytes = rest_.substr(0, size);
        field->is_bytes = true;
        rest_.remove_prefix(size);
        return true;
      }
      case 5: return Fixed(4, &field->value);
      default: return false;
    }
  }

 private:
  bool Varint(uint64_t* value) {
    *value = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      *value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool Fixed(size_t size, uint64_t* value) {
    if (rest_.size() < size) return false;
    *value = 0;
    for (size_t i = 0; i < size; ++i)
      *value |= static_cast<uint64_t>(static_cast<unsigned char>(rest_[i])) << (8 * i);
    rest_.remove_prefix(size);
    return true;
  }
  std::string_view rest_;
};

std::string WireVarint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}

std::string WireNumber(uint32_t field, uint64_t value) { return WireVarint(field << 3) + WireVarint(value); }

std::string WireBytes(uint32_t field, std::string_view bytes) {
  return WireVarint(field << 3 | 2) + WireVarint(bytes.size()) + std::string(bytes);
}

std::string WireFloat(uint32_t field, float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  std::string out = WireVarint(field << 3 | 5);
  for (int i = 0; i < 4; ++i) out.push_back(static_cast<char>(bits >> (8 * i)));
  return out;
}

Status Broken(const SentencePieceModel& model) {
  return absl::InvalidArgumentError(StrCat(
      model.file, " is not a whole SentencePiece model (cut short or damaged); copy or download it again"));
}

Status Fail(const SentencePieceModel& model, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(model.file, ": ", what));
}

// Gives every field of a message to `take`.
Status ReadFields(SentencePieceModel& model, std::string_view message,
                  const std::function<Status(const Field&)>& take) {
  WireReader reader(message);
  while (!reader.done()) {
    Field field;
    if (!reader.Next(&field)) return Broken(model);
    RETURN_IF_ERROR(take(field));
  }
  return absl::OkStatus();
}

std::string Named(const SentencePieceModel& model, size_t index) {
  return StrCat("piece ", index, " (\"", Excerpt(model.pieces[index].text), "\")");
}

Status ReadPiece(SentencePieceModel& model, std::string_view message) {
  if (model.pieces.size() >= static_cast<size_t>(kMaxVocabulary))
    return Fail(model, StrCat("holds more than ", kMaxVocabulary, " pieces"));
  SentencePieceModel::Piece piece;
  uint64_t kind = 1;
  RETURN_IF_ERROR(ReadFields(model, message, [&](const Field& field) {
    if (field.number == 1 && field.is_bytes) {
      if (field.bytes.size() > kMaxPieceBytes)
        return Fail(model, StrCat("piece ", model.pieces.size(), " has ", field.bytes.size(),
                                  " bytes, more than ", kMaxPieceBytes));
      piece.text = field.bytes;
    }
    if (field.number == 2 && !field.is_bytes)
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    if (field.number == 3 && !field.is_bytes) kind = field.value;
    return absl::OkStatus();
  }));
  if (kind < 1 || kind > 6)
    return Fail(model, StrCat("piece ", model.pieces.size(), " is of the unknown kind ", kind));
  piece.kind = static_cast<SentencePieceModel::Kind>(kind);
  model.pieces.push_back(std::move(piece));
  return absl::OkStatus();
}

Status ReadTrainerSpec(SentencePieceModel& model, std::string_view message) {
  return ReadFields(model, message, [&model](const Field& field) {
    // A negative number means none, like -1.
    const auto id = [&field] {
      return std::max(-1, static_cast<int32_t>(static_cast<uint32_t>(field.value)));
    };
    switch (field.number) {
      case 3:
        if (field.value != 1 && field.value != 2)
          return Fail(model, StrCat("is a SentencePiece model of kind ", field.value,
                                    "; only unigram (1) and BPE (2) models are supported"));
        model.algorithm = static_cast<SentencePieceModel::Algorithm>(field.value);
        break;
      case 24:
        if (field.value != 0)
          return Fail(model, "puts spaces behind words (treat_whitespace_as_suffix), which is not supported");
        break;
      case 35: model.byte_fallback = field.value != 0; break;
      case 41: model.bos_id = id(); break;
      case 42: model.eos_id = id(); break;
      case 43: model.pad_id = id(); break;
      default: break;
    }
    return absl::OkStatus();
  });
}

Status ReadNormalizerSpec(SentencePieceModel& model, std::string_view message) {
  return ReadFields(model, message, [&model](const Field& field) {
    if (field.number == 2) {
      if (field.bytes.size() > kMaxCharsmapBytes)
        return Fail(model, StrCat("its normaliser's map has ", field.bytes.size(), " bytes, more than ",
                                  kMaxCharsmapBytes));
      model.charsmap = field.bytes;
    }
    if (field.number == 3) model.add_dummy_prefix = field.value != 0;
    if (field.number == 4) model.remove_extra_whitespaces = field.value != 0;
    if (field.number == 5) model.escape_whitespaces = field.value != 0;
    return absl::OkStatus();
  });
}

Status CheckDenormalizer(SentencePieceModel& model, std::string_view message) {
  return ReadFields(model, message, [&model](const Field& field) {
    if (field.number == 2 && !field.bytes.empty())
      return Fail(model, "has a denormaliser, which is not supported");
    return absl::OkStatus();
  });
}

Status CheckPieces(const SentencePieceModel& model) {
  using Kind = SentencePieceModel::Kind;
  absl::flat_hash_set<std::string_view> seen;
  size_t unknown = 0;
  std::array<bool, 256> bytes = {};
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    const SentencePieceModel::Piece& piece = model.pieces[i];
    if (piece.text.empty()) return Fail(model, StrCat("piece ", i, " is empty"));
    if (FirstInvalidUtf8(piece.text)) return Fail(model, StrCat("piece ", i, " is not UTF-8"));
    if (!std::isfinite(piece.score)) return Fail(model, StrCat(Named(model, i), " has no finite score"));
    if (!seen.insert(std::string_view(piece.text)).second)
      return Fail(model, StrCat(Named(model, i), " is given twice"));
    if (piece.kind == Kind::kUnused)
      return Fail(model, StrCat(Named(model, i), " is marked unused, which is not supported"));
    if (piece.kind == Kind::kUnknown) ++unknown;
    if (piece.kind != Kind::kByte) continue;
    const int byte = SentencePieceModel::ByteOf(piece);
    if (byte < 0)
      return Fail(model, StrCat(Named(model, i), " is marked as a byte but is not spelled like <0x0A>"));
    bytes[static_cast<size_t>(byte)] = true;
  }
  if (unknown != 1) return Fail(model, StrCat("has ", unknown, " unknown pieces; it must have one"));
  for (size_t byte = 0; model.byte_fallback && byte < bytes.size(); ++byte) {
    if (!bytes[byte]) return Fail(model, StrCat("falls back to bytes but has no piece for the byte ", byte));
  }
  return absl::OkStatus();
}

constexpr int32_t kNotGiven = -2;

// The unknown piece is known by its kind; the other ids are those of the file, or the format's defaults.
Status ResolveIds(SentencePieceModel& model) {
  const auto size = static_cast<int64_t>(model.pieces.size());
  for (size_t i = 0; i < model.pieces.size(); ++i) {
    if (model.pieces[i].kind == SentencePieceModel::Kind::kUnknown) model.unk_id = static_cast<int32_t>(i);
  }
  const std::pair<int32_t*, int32_t> ids[] = {{&model.bos_id, 1}, {&model.eos_id, 2}, {&model.pad_id, -1}};
  for (const auto& [id, standard] : ids) {
    if (*id == kNotGiven) *id = standard < size ? standard : -1;
    if (*id >= size)
      return Fail(model, StrCat("names the id ", *id, " in a vocabulary of ", size, " pieces"));
    if (*id < 0 || model.pieces[static_cast<size_t>(*id)].kind != SentencePieceModel::Kind::kControl)
      *id = -1;
  }
  return absl::OkStatus();
}

}  // namespace

int SentencePieceModel::ByteOf(const Piece& piece) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
  };
  if (piece.text.size() != 6 || !piece.text.starts_with("<0x") || piece.text[5] != '>') return -1;
  const int high = digit(piece.text[3]), low = digit(piece.text[4]);
  return high < 0 || low < 0 ? -1 : 16 * high + low;
}

bool LooksLikeSentencePiece(std::string_view content) {
  // The first field is a piece, whose first field is its text.
  WireReader outer(content.substr(0, 4096));
  Field field;
  if (!outer.Next(&field) || field.number != 1 || !field.is_bytes) return false;
  return WireReader(field.bytes).Next(&field) && field.number == 1 && field.is_bytes;
}

StatusOr<SentencePieceModel> ParseSentencePiece(std::string_view content, const std::string& file) {
  SentencePieceModel model{.file = file};
  model.bos_id = model.eos_id = model.pad_id = kNotGiven;
  RETURN_IF_ERROR(ReadFields(model, content, [&model](const Field& field) {
    if (!field.is_bytes) return absl::OkStatus();
    if (field.number == 1) return ReadPiece(model, field.bytes);
    if (field.number == 2) return ReadTrainerSpec(model, field.bytes);
    if (field.number == 3) return ReadNormalizerSpec(model, field.bytes);
    if (field.number == 5) return CheckDenormalizer(model, field.bytes);
    return absl::OkStatus();
  }));
  if (model.pieces.empty()) return Broken(model);
  RETURN_IF_ERROR(CheckSentencePiece(model));
  return model;
}

Status CheckSentencePiece(SentencePieceModel& model) {
  RETURN_IF_ERROR(CheckPieces(model));
  return ResolveIds(model);
}

std::string WriteSentencePiece(const SentencePieceModel& model) {
  std::string out;
  for (const SentencePieceModel::Piece& piece : model.pieces) {
    std::string fields = WireBytes(1, piece.text) + WireFloat(2, piece.score);
    out += WireBytes(1, fields + WireNumber(3, static_cast<uint64_t>(piece.kind)));
  }
  std::string trainer = WireNumber(3, static_cast<uint64_t>(model.algorithm));
  trainer += WireNumber(35, model.byte_fallback ? 1 : 0);
  const std::pair<uint32_t, int32_t> ids[] = {
      {40, model.unk_id}, {41, model.bos_id}, {42, model.eos_id}, {43, model.pad_id}};
  // A negative number is written with its sign in 64 bits.
  for (const auto& [field, id] : ids) trainer += WireNumber(field, static_cast<uint64_t>(int64_t{id}));
  std::string normalizer = WireBytes(2, model.charsmap) + WireNumber(3, model.add_dummy_prefix ? 1 : 0);
  normalizer +=
      WireNumber(4, model.remove_extra_whitespaces ? 1 : 0) + WireNumber(5, model.escape_whitespaces ? 1 : 0);
  return out + WireBytes(2, trainer) + WireBytes(3, normalizer);
}

}  // namespace ft::tokenizer
