// Structs in Apache Thrift's compact protocol, as the footer and the pages of a parquet file describe themselves. Whoever reads a
// struct takes the fields that it knows; all others are passed over. Nothing is allocated by what the bytes claim: a list is
// walked, and one with more items than bytes are left is broken.
#pragma once

#include <cstdint>
#include <string_view>

namespace ft::data {

// One thread. After a failure every call gives nothing, so that a whole struct can be read before ok() is asked.
class ThriftReader {
 public:
  enum class Kind : uint8_t {
    kStop = 0,
    kTrue = 1,
    kFalse = 2,
    kByte = 3,
    kI16 = 4,
    kI32 = 5,
    kI64 = 6,
    kDouble = 7,
    kBinary = 8,
    kList = 9,
    kSet = 10,
    kMap = 11,
    kStruct = 12,
    kUuid = 13
  };

  explicit ThriftReader(std::string_view bytes) : bytes_(bytes) {}
  bool ok() const { return !failed_; }
  // Whether what was read so far is a beginning, whose rest may follow.
  bool ended() const { return ended_; }
  size_t position() const { return pos_; }

  // A struct: take(id, kind) is asked for every field, and reads it by one of the calls below or leaves it alone.
  template <typename Take>
  void Struct(const Take& take) {
    int64_t id = 0;
    while (BeginField(&id)) {
      const size_t before = pos_;
      const Kind kind = kind_;
      take(id, kind);
      if (pos_ == before) Skip(kind, 0);
    }
  }
  // A list or set: take(kind) is asked for every item, and reads it.
  template <typename Take>
  void List(Kind kind, const Take& take) {
    Kind item = Kind::kStop;
    const uint64_t size = BeginList(kind, &item);
    for (uint64_t i = 0; i < size && ok(); ++i) take(item);
  }
  // 0 where the field is no whole number.
  int64_t Integer(Kind kind);
  // In a struct; takes no bytes.
  static bool Bool(Kind kind) { return kind == Kind::kTrue; }
  std::string_view Binary(Kind kind);
  // For who finds more than there may be.
  void Fail() { failed_ = true; }

 private:
  bool BeginField(int64_t* id);
  uint64_t BeginList(Kind kind, Kind* item);
  void Skip(Kind kind, int depth);
  void SkipItem(Kind kind, int depth);
  void SkipMap(int depth);
  uint64_t Varint();
  uint8_t Byte();
  void Advance(uint64_t bytes);

  std::string_view bytes_;
  size_t pos_ = 0;
  Kind kind_ = Kind::kStop;
  bool failed_ = false, ended_ = false;
};

}  // namespace ft::data
