#include "worker/data/readers/thrift_compact.h"

namespace ft::data {
namespace {

constexpr int kMaxDepth = 32;

int64_t FromZigZag(uint64_t value) {
  return static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
}

}  // namespace

uint8_t ThriftReader::Byte() {
  if (failed_) return 0;
  if (pos_ == bytes_.size()) {
    ended_ = true;
    Fail();
    return 0;
  }
  return static_cast<uint8_t>(bytes_[pos_++]);
}

void ThriftReader::Advance(uint64_t bytes) {
  if (failed_) return;
  if (bytes > bytes_.size() - pos_) {
    ended_ = true;
    return Fail();
  }
  pos_ += bytes;
}

uint64_t ThriftReader::Varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t byte = Byte();
    value |= static_cast<uint64_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
  Fail();
  return 0;
}

int64_t ThriftReader::Integer(Kind kind) {
  if (kind == Kind::kByte) return static_cast<int8_t>(Byte());
  if (kind != Kind::kI16 && kind != Kind::kI32 && kind != Kind::kI64) return 0;
  return FromZigZag(Varint());
}

std::string_view ThriftReader::Binary(Kind kind) {
  if (kind != Kind::kBinary) return {};
  const uint64_t size = Varint();
  const size_t begin = pos_;
  Advance(size);
  return failed_ ? std::string_view() : bytes_.substr(begin, size);
}

bool ThriftReader::BeginField(int64_t* id) {
  const uint8_t head = Byte();
  if (failed_ || head == 0) return false;
  kind_ = static_cast<Kind>(head & 0x0F);
  if (kind_ == Kind::kStop || kind_ > Kind::kUuid) {
    Fail();
    return false;
  }
  const int64_t step = head >> 4;
  const int64_t next = step > 0 ? *id + step : FromZigZag(Varint());
  if (next < 0 || next > INT16_MAX) Fail();
  *id = next;
  return !failed_;
}

uint64_t ThriftReader::BeginList(Kind kind, Kind* item) {
  if (kind != Kind::kList && kind != Kind::kSet) return 0;
  const uint8_t head = Byte();
  *item = static_cast<Kind>(head & 0x0F);
  const uint64_t size = head >> 4 == 0x0F ? Varint() : head >> 4;
  if (failed_) return 0;
  if (size > bytes_.size() - pos_) {  // Each item takes a byte at least.
    ended_ = true;
    Fail();
    return 0;
  }
  return size;
}

void ThriftReader::SkipMap(int depth) {
  const uint64_t size = Varint();
  if (size == 0 || failed_) return;
  const uint8_t kinds = Byte();
  if (size > bytes_.size() - pos_) {
    ended_ = true;
    return Fail();
  }
  for (uint64_t i = 0; i < size && ok(); ++i) {
    SkipItem(static_cast<Kind>(kinds >> 4), depth);
    SkipItem(static_cast<Kind>(kinds & 0x0F), depth);
  }
}

// In a list or map, where truth is a byte of its own.
void ThriftReader::SkipItem(Kind kind, int depth) {
  if (kind == Kind::kTrue || kind == Kind::kFalse) return Advance(1);
  Skip(kind, depth);
}

void ThriftReader::Skip(Kind kind, int depth) {
  if (depth > kMaxDepth) return Fail();
  switch (kind) {
    case Kind::kTrue:
    case Kind::kFalse: return;
    case Kind::kByte: return Advance(1);
    case Kind::kI16:
    case Kind::kI32:
    case Kind::kI64: Varint(); return;
    case Kind::kDouble: return Advance(8);
    case Kind::kBinary: Binary(kind); return;
    case Kind::kList:
    case Kind::kSet: return List(kind, [&](Kind item) { SkipItem(item, depth + 1); });
    case Kind::kMap: return SkipMap(depth + 1);
    case Kind::kUuid: return Advance(16);
    case Kind::kStruct: {
      int64_t id = 0;
      while (BeginField(&id)) Skip(kind_, depth + 1);
      return;
    }
    default: Fail();
  }
}

}  // namespace ft::data
