#include "worker/data/readers/parquet_encodings.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ft::data {
namespace {

constexpr uint64_t kMaxBlock = uint64_t{1} << 20;

// Up to 64 bits from bit `bit` of bytes, the lowest first. Bits behind the end are 0.
uint64_t BitsAt(std::string_view bytes, uint64_t bit, int width) {
  if (width == 0) return 0;
  const size_t at = bit / 8;
  const int shift = static_cast<int>(bit % 8);
  uint64_t low = 0;
  const size_t there = at < bytes.size() ? bytes.size() - at : 0;
  std::memcpy(&low, bytes.data() + std::min(at, bytes.size()), std::min<size_t>(8, there));
  low >>= shift;
  if (shift > 0 && there > 8 && width > 64 - shift)
    low |= static_cast<uint64_t>(static_cast<uint8_t>(bytes[at + 8])) << (64 - shift);
  return width == 64 ? low : low & ((uint64_t{1} << width) - 1);
}

// False when the bytes end inside it, or it is longer than 64 bits.
bool TakeVarint(std::string_view bytes, size_t* pos, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (*pos == bytes.size()) return false;
    const auto byte = static_cast<uint8_t>(bytes[(*pos)++]);
    *value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

uint64_t FromZigZag(uint64_t value) { return (value >> 1) ^ (uint64_t{0} - (value & 1)); }

template <typename T>
T Load(std::string_view bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

// Bytes of one stored value; 0 where that differs from value to value.
size_t WidthOf(ParquetType type, int64_t length) {
  switch (type) {
    case ParquetType::kInt32:
    case ParquetType::kFloat: return 4;
    case ParquetType::kInt64:
    case ParquetType::kDouble: return 8;
    case ParquetType::kInt96: return 12;
    case ParquetType::kFixed: return static_cast<size_t>(length);
    default: return 0;
  }
}

// REQUIRES: bytes hold a value of the type, which is none of kBool and kBytes.
ParquetValue FixedValue(ParquetType type, std::string_view bytes) {
  switch (type) {
    case ParquetType::kInt32: return {.integer = Load<int32_t>(bytes)};
    case ParquetType::kInt64: return {.integer = Load<int64_t>(bytes)};
    case ParquetType::kFloat: return {.real = Load<float>(bytes)};
    case ParquetType::kDouble: return {.real = Load<double>(bytes)};
    default: return {.bytes = bytes};
  }
}

// A value at `pos` of plain bytes; moves behind it. REQUIRES: the type is not kBool.
bool TakePlain(ParquetType type, int64_t length, std::string_view bytes, size_t* pos, ParquetValue* value) {
  size_t width = WidthOf(type, length);
  if (type == ParquetType::kBytes) {
    if (bytes.size() - *pos < sizeof(uint32_t)) return false;
    width = Load<uint32_t>(bytes.substr(*pos));
    *pos += sizeof(uint32_t);
  }
  if (bytes.size() - *pos < width) return false;
  *value = FixedValue(type, bytes.substr(*pos, width));
  *pos += width;
  return true;
}

class PlainDecoder : public ParquetDecoder {
 public:
  PlainDecoder(const ParquetLeaf& leaf, std::string_view bytes)
      : type_(leaf.type), length_(leaf.length), bytes_(bytes) {}
  bool Next(ParquetValue* value) override { return TakePlain(type_, length_, bytes_, &pos_, value); }

 private:
  ParquetType type_;
  int64_t length_;
  std::string_view bytes_;
  size_t pos_ = 0;
};

class PlainBoolDecoder : public ParquetDecoder {
 public:
  explicit PlainBoolDecoder(std::string_view bytes) : bytes_(bytes) {}
  bool Next(ParquetValue* value) override {
    if (bit_ / 8 >= bytes_.size()) return false;
    *value = {.integer = static_cast<int64_t>(BitsAt(bytes_, bit_++, 1))};
    return true;
  }

 private:
  std::string_view bytes_;
  uint64_t bit_ = 0;
};

class RunBoolDecoder : public ParquetDecoder {
 public:
  explicit RunBoolDecoder(std::string_view bytes) : runs_(bytes, 1) {}
  bool Next(ParquetValue* value) override {
    uint32_t bit = 0;
    if (!runs_.Next(&bit)) return false;
    *value = {.integer = bit != 0};
    return true;
  }

 private:
  ParquetRuns runs_;
};

class DictionaryDecoder : public ParquetDecoder {
 public:
  DictionaryDecoder(const ParquetDictionary& dictionary, ParquetRuns indices)
      : dictionary_(dictionary), indices_(indices) {}
  bool Next(ParquetValue* value) override {
    uint32_t index = 0;
    return indices_.Next(&index) && dictionary_.Find(index, value);
  }

 private:
  const ParquetDictionary& dictionary_;
  ParquetRuns indices_;
};

class DeltaDecoder : public ParquetDecoder {
 public:
  DeltaDecoder(ParquetDeltas deltas, bool narrow) : deltas_(deltas), narrow_(narrow) {}
  bool Next(ParquetValue* value) override {
    int64_t integer = 0;
    if (!deltas_.Next(&integer)) return false;
    *value = {.integer = narrow_ ? static_cast<int32_t>(integer) : integer};
    return true;
  }

 private:
  ParquetDeltas deltas_;
  bool narrow_;  // 32 bits, over which sums wrap.
};

// DELTA_LENGTH_BYTE_ARRAY: all lengths, then all bytes.
class DeltaLengthDecoder : public ParquetDecoder {
 public:
  bool Start(std::string_view bytes, uint64_t most) {
    if (!lengths_.Start(bytes, most)) return false;
    ParquetDeltas all = lengths_;
    return all.TakeRest(&bytes_);
  }
  bool Next(ParquetValue* value) override {
    int64_t length = 0;
    if (!lengths_.Next(&length) || length < 0 || static_cast<uint64_t>(length) > bytes_.size()) return false;
    *value = {.bytes = bytes_.substr(0, static_cast<size_t>(length))};
    bytes_.remove_prefix(static_cast<size_t>(length));
    return true;
  }

 private:
  ParquetDeltas lengths_;
  std::string_view bytes_;
};

// DELTA_BYTE_ARRAY: how much of the value before is kept, and what follows it.
class DeltaBytesDecoder : public ParquetDecoder {
 public:
  bool Start(std::string_view bytes, uint64_t most) {
    if (!kept_.Start(bytes, most)) return false;
    ParquetDeltas all = kept_;
    std::string_view rest;
    return all.TakeRest(&rest) && suffixes_.Start(rest, most);
  }
  bool Next(ParquetValue* value) override {
    int64_t kept = 0;
    ParquetValue suffix;
    if (!kept_.Next(&kept) || !suffixes_.Next(&suffix)) return false;
    if (kept < 0 || static_cast<uint64_t>(kept) > last_.size()) return false;
    if (static_cast<uint64_t>(kept) + suffix.bytes.size() > kMaxValueBytes) return false;
    last_.resize(static_cast<size_t>(kept));
    last_.append(suffix.bytes);
    *value = {.bytes = last_};
    return true;
  }

 private:
  static constexpr size_t kMaxValueBytes = size_t{64} << 20;
  ParquetDeltas kept_;
  DeltaLengthDecoder suffixes_;
  std::string last_;
};

// BYTE_STREAM_SPLIT: the first byte of all values, then the second of all.
class SplitDecoder : public ParquetDecoder {
 public:
  SplitDecoder(const ParquetLeaf& leaf, std::string_view bytes)
      : type_(leaf.type),
        bytes_(bytes),
        width_(WidthOf(leaf.type, leaf.length)),
        count_(bytes.size() / width_) {}
  bool Next(ParquetValue* value) override {
    if (next_ == count_) return false;
    value_.resize(width_);
    for (size_t i = 0; i < width_; ++i) value_[i] = bytes_[i * count_ + next_];
    ++next_;
    *value = FixedValue(type_, value_);
    return true;
  }

 private:
  ParquetType type_;
  std::string_view bytes_;
  size_t width_, count_, next_ = 0;
  std::string value_;
};

Status Damaged(std::string_view what) {
  return absl::InvalidArgumentError(StrCat("its ", what, " cannot be read"));
}

using Made = StatusOr<std::unique_ptr<ParquetDecoder>>;

Made MakeFromDictionary(const ParquetEncoded& encoded) {
  if (encoded.dictionary == nullptr) return Damaged("dictionary is missing, and its values");
  if (encoded.bytes.empty()) return std::make_unique<DictionaryDecoder>(*encoded.dictionary, ParquetRuns());
  const int width = static_cast<uint8_t>(encoded.bytes[0]);
  if (width > 32) return Damaged("dictionary's indices");
  return std::make_unique<DictionaryDecoder>(*encoded.dictionary,
                                             ParquetRuns(encoded.bytes.substr(1), width));
}

Made MakeRunBools(const ParquetEncoded& encoded) {
  const std::string_view bytes = encoded.bytes;
  if (bytes.size() < sizeof(uint32_t)) return Damaged("truth values");
  const size_t size = Load<uint32_t>(bytes);
  if (size > bytes.size() - sizeof(uint32_t)) return Damaged("truth values");
  return std::make_unique<RunBoolDecoder>(bytes.substr(sizeof(uint32_t), size));
}

template <typename Decoder>
Made MakeDeltaTexts(const ParquetEncoded& encoded) {
  auto decoder = std::make_unique<Decoder>();
  if (!encoded.bytes.empty() && !decoder->Start(encoded.bytes, encoded.most)) return Damaged("lengths");
  return decoder;
}

}  // namespace

bool ParquetRuns::BeginRun() {
  uint64_t head = 0;
  if (!TakeVarint(bytes_, &pos_, &head)) return false;
  packed_ = (head & 1) != 0;
  left_ = head >> 1;
  if (packed_) {
    if (left_ > (uint64_t{1} << 40)) return false;
    packed_at_ = pos_;
    bit_ = 0;
    // The last run may end with the last value instead of its group of eight.
    const uint64_t bytes = std::min<uint64_t>(left_ * static_cast<uint64_t>(width_), bytes_.size() - pos_);
    left_ = width_ == 0 ? left_ * 8 : bytes * 8 / static_cast<uint64_t>(width_);
    pos_ += bytes;
    return true;
  }
  const size_t size = static_cast<size_t>(width_ + 7) / 8;
  if (bytes_.size() - pos_ < size) return false;
  repeated_ = static_cast<uint32_t>(BitsAt(bytes_.substr(pos_, size), 0, static_cast<int>(size) * 8));
  pos_ += size;
  return true;
}

bool ParquetRuns::Next(uint32_t* value) {
  while (left_ == 0) {
    if (!BeginRun()) return false;
  }
  --left_;
  if (!packed_) {
    *value = repeated_;
    return true;
  }
  *value = static_cast<uint32_t>(BitsAt(bytes_.substr(packed_at_), bit_, width_));
  bit_ += static_cast<uint64_t>(width_);
  return true;
}

bool ParquetDeltas::Start(std::string_view bytes, uint64_t most) {
  bytes_ = bytes;
  uint64_t block = 0, first = 0;
  if (!TakeVarint(bytes_, &pos_, &block) || !TakeVarint(bytes_, &pos_, &mini_blocks_) ||
      !TakeVarint(bytes_, &pos_, &total_) || !TakeVarint(bytes_, &pos_, &first))
    return false;
  if (block == 0 || block > kMaxBlock || mini_blocks_ == 0 || block % mini_blocks_ != 0 || total_ > most)
    return false;
  per_mini_block_ = block / mini_blocks_;
  mini_block_ = mini_blocks_;  // None is begun.
  last_ = FromZigZag(first);
  return true;
}

bool ParquetDeltas::BeginBlock() {
  uint64_t least = 0;
  if (!TakeVarint(bytes_, &pos_, &least) || bytes_.size() - pos_ < mini_blocks_) return false;
  min_delta_ = FromZigZag(least);
  widths_ = bytes_.substr(pos_, mini_blocks_);
  pos_ += mini_blocks_;
  mini_block_ = 0;
  return true;
}

bool ParquetDeltas::BeginMiniBlock() {
  if (mini_block_ == mini_blocks_ && !BeginBlock()) return false;
  width_ = static_cast<uint8_t>(widths_[mini_block_++]);
  if (width_ > 64) return false;
  // The last one may end with the last number.
  const uint64_t bytes = (per_mini_block_ * static_cast<uint64_t>(width_) + 7) / 8;
  const uint64_t needed =
      (std::min(per_mini_block_, total_ - given_) * static_cast<uint64_t>(width_) + 7) / 8;
  if (needed > bytes_.size() - pos_) return false;
  mini_block_at_ = pos_;
  bit_ = 0;
  left_ = per_mini_block_;
  pos_ += std::min<uint64_t>(bytes, bytes_.size() - pos_);
  return true;
}

bool ParquetDeltas::Next(int64_t* value) {
  if (given_ == total_) return false;
  if (given_ > 0) {
    if (left_ == 0 && !BeginMiniBlock()) return false;
    last_ += min_delta_ + BitsAt(bytes_.substr(mini_block_at_), bit_, width_);
    bit_ += static_cast<uint64_t>(width_);
    --left_;
  }
  ++given_;
  *value = static_cast<int64_t>(last_);
  return true;
}

bool ParquetDeltas::TakeRest(std::string_view* rest) {
  int64_t ignored = 0;
  while (given_ < total_) {
    if (!Next(&ignored)) return false;
  }
  *rest = bytes_.substr(pos_);
  return true;
}

StatusOr<ParquetDictionary> ParquetDictionary::Make(const ParquetLeaf& leaf, std::string bytes,
                                                    int64_t values) {
  ParquetDictionary dictionary;
  if (leaf.type == ParquetType::kBool || leaf.type == ParquetType::kNone) return Damaged("dictionary");
  dictionary.type_ = leaf.type;
  dictionary.length_ = leaf.length;
  dictionary.bytes_ = std::move(bytes);
  ParquetValue ignored;
  size_t pos = 0;
  for (int64_t i = 0; i < values; ++i) {
    dictionary.places_.push_back(static_cast<uint32_t>(pos));
    if (!TakePlain(leaf.type, leaf.length, dictionary.bytes_, &pos, &ignored)) return Damaged("dictionary");
  }
  return dictionary;
}

bool ParquetDictionary::Find(uint32_t index, ParquetValue* value) const {
  if (index >= places_.size()) return false;
  size_t pos = places_[index];
  return TakePlain(type_, length_, bytes_, &pos, value);
}

Made MakeParquetDecoder(const ParquetLeaf& leaf, const ParquetEncoded& encoded) {
  const bool boolean = leaf.type == ParquetType::kBool;
  const bool integer = leaf.type == ParquetType::kInt32 || leaf.type == ParquetType::kInt64;
  const bool bytes = leaf.type == ParquetType::kBytes || leaf.type == ParquetType::kFixed;
  switch (encoded.encoding) {
    case 0:  // PLAIN
      if (boolean) return std::make_unique<PlainBoolDecoder>(encoded.bytes);
      return std::make_unique<PlainDecoder>(leaf, encoded.bytes);
    case 2:                                      // PLAIN_DICTIONARY
    case 8: return MakeFromDictionary(encoded);  // RLE_DICTIONARY
    case 3:                                      // RLE
      if (boolean) return MakeRunBools(encoded);
      break;
    case 5:  // DELTA_BINARY_PACKED
      if (integer) {
        ParquetDeltas deltas;
        if (!encoded.bytes.empty() && !deltas.Start(encoded.bytes, encoded.most)) return Damaged("numbers");
        return std::make_unique<DeltaDecoder>(deltas, leaf.type == ParquetType::kInt32);
      }
      break;
    case 6:  // DELTA_LENGTH_BYTE_ARRAY
      if (leaf.type == ParquetType::kBytes) return MakeDeltaTexts<DeltaLengthDecoder>(encoded);
      break;
    case 7:  // DELTA_BYTE_ARRAY
      if (bytes) return MakeDeltaTexts<DeltaBytesDecoder>(encoded);
      break;
    case 9:  // BYTE_STREAM_SPLIT
      if (WidthOf(leaf.type, leaf.length) > 0) return std::make_unique<SplitDecoder>(leaf, encoded.bytes);
      break;
    default: break;
  }
  return absl::InvalidArgumentError(
      StrCat("its values are written in encoding ", encoded.encoding, ", which is not read"));
}

}  // namespace ft::data
