// How the values and levels of a parquet page are written (apache/parquet-format, Encodings.md). Decoders give one value after the
// other and hold none; they never read behind the bytes that they were given, whatever these claim.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker/data/readers/parquet_schema.h"

namespace ft::data {

// A value as it is stored; which member holds it follows from the column's type.
struct ParquetValue {
  int64_t integer = 0;     // kBool, kInt32, kInt64
  double real = 0;         // kFloat, kDouble
  std::string_view bytes;  // kBytes, kFixed, kInt96; valid until the next value
};

// Runs of one small number, and numbers packed by their bits ("RLE/bit-packing hybrid").
class ParquetRuns {
 public:
  ParquetRuns() = default;
  // REQUIRES: width <= 32 bits.
  ParquetRuns(std::string_view bytes, int width) : bytes_(bytes), width_(width) {}
  // False when no number is left.
  bool Next(uint32_t* value);

 private:
  bool BeginRun();

  std::string_view bytes_;
  int width_ = 0;
  size_t pos_ = 0;
  uint64_t left_ = 0;  // Of the run.
  bool packed_ = false;
  uint32_t repeated_ = 0;
  uint64_t bit_ = 0;  // Of the packed run, from its first byte, at packed_at_.
  size_t packed_at_ = 0;
};

// Whole numbers as differences (DELTA_BINARY_PACKED).
class ParquetDeltas {
 public:
  // False when `bytes` do not begin so, or claim more than `most` numbers.
  bool Start(std::string_view bytes, uint64_t most);
  bool Next(int64_t* value);
  // Passes over all that are left, and gives what follows the last.
  bool TakeRest(std::string_view* rest);

 private:
  bool BeginBlock();
  bool BeginMiniBlock();

  std::string_view bytes_;
  size_t pos_ = 0;
  uint64_t total_ = 0, given_ = 0;
  uint64_t per_mini_block_ = 0, mini_blocks_ = 0;
  std::string_view widths_;  // Of the block's miniature blocks.
  uint64_t mini_block_ = 0;  // The next of them.
  uint64_t left_ = 0;        // Numbers of the one that is read.
  int width_ = 0;
  uint64_t bit_ = 0;
  size_t mini_block_at_ = 0;
  uint64_t min_delta_ = 0, last_ = 0;  // Sums wrap, as the format says.
};

class ParquetDecoder {
 public:
  virtual ~ParquetDecoder() = default;
  // False when the page holds no further value.
  virtual bool Next(ParquetValue* value) = 0;
};

// What a column's values are looked up in: a page of plain values.
class ParquetDictionary {
 public:
  // INVALID_ARGUMENT says, without the place, why it is none.
  static StatusOr<ParquetDictionary> Make(const ParquetLeaf& leaf, std::string bytes, int64_t values);
  bool Find(uint32_t index, ParquetValue* value) const;
  uint64_t bytes() const { return bytes_.size() + places_.size() * sizeof(uint32_t); }

 private:
  ParquetDictionary() = default;
  ParquetType type_ = ParquetType::kNone;
  int64_t length_ = 0;
  std::string bytes_;
  std::vector<uint32_t> places_;  // Where each value begins.
};

// A decoder of a data page's values, of which there are at most `most`. INVALID_ARGUMENT says, without the place, what is not read.
// `dictionary` may be null; it and `bytes` outlive the decoder.
struct ParquetEncoded {
  int64_t encoding = 0;
  std::string_view bytes;
  uint64_t most = 0;
  const ParquetDictionary* dictionary = nullptr;
};
StatusOr<std::unique_ptr<ParquetDecoder>> MakeParquetDecoder(const ParquetLeaf& leaf,
                                                             const ParquetEncoded& encoded);

}  // namespace ft::data
