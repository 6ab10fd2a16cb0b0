#include "worker/model/weights/tensor_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace ft::weights {
namespace {

using ::testing::ElementsAre;

// One tensor in memory.
class MemorySource final : public TensorSource {
 public:
  MemorySource(DType dtype, std::vector<int64_t> shape, std::vector<uint8_t> bytes)
      : infos_{{"t", dtype, std::move(shape)}}, bytes_(std::move(bytes)) {}
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  Status ReadBytes(const TensorInfo& info, std::span<std::byte> out) const override {
    EXPECT_EQ(out.size(), bytes_.size());
    std::memcpy(out.data(), bytes_.data(), std::min(out.size(), bytes_.size()));
    return absl::OkStatus();
  }

 private:
  std::vector<TensorInfo> infos_;
  std::vector<uint8_t> bytes_;
};

std::vector<float> Floats(const MemorySource& source) {
  std::vector<float> values(source.tensors()[0].elements());
  const Status status = ReadFloat32(source, source.tensors()[0], values);
  EXPECT_TRUE(status.ok()) << status;
  return values;
}

template <typename T>
std::vector<uint8_t> BytesOf(const std::vector<T>& values) {
  std::vector<uint8_t> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// The value of a half by its definition, in double precision.
double HalfByDefinition(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const int mantissa = bits & 1023;
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(StoredBytes, CountsPlainAndBlockTypes) {
  EXPECT_EQ(*StoredBytes(DType::kF64, 3), 24u);
  EXPECT_EQ(*StoredBytes(DType::kBF16, 3), 6u);
  EXPECT_EQ(*StoredBytes(DType::kBool, 3), 3u);
  EXPECT_EQ(*StoredBytes(DType::kQ8_0, 64), 68u);
  EXPECT_EQ(*StoredBytes(DType::kQ4_0, 64), 36u);
  EXPECT_EQ(*StoredBytes(DType::kQ4_1, 64), 40u);
}

TEST(StoredBytes, RefusesPartialBlocksAndOverflow) {
  EXPECT_TRUE(absl::IsInvalidArgument(StoredBytes(DType::kQ4_1, 33).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(StoredBytes(DType::kF64, std::numeric_limits<uint64_t>::max() / 4).status()));
}

TEST(ReadFloat32, EveryHalfIsExact) {
  std::vector<uint16_t> halves(65536);
  for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
  const std::vector<float> values = Floats(MemorySource(DType::kF16, {65536}, BytesOf(halves)));
  for (size_t i = 0; i < halves.size(); ++i) {
    const bool special = ((i >> 10) & 31) == 31;
    if (special && (i & 1023) != 0) {
      ASSERT_TRUE(std::isnan(values[i])) << i;
    } else if (special) {
      ASSERT_EQ(values[i],
                i < 32768 ? std::numeric_limits<float>::infinity() : -std::numeric_limits<float>::infinity());
    } else {
      ASSERT_EQ(values[i], HalfByDefinition(halves[i])) << i;
      ASSERT_EQ(std::signbit(values[i]), i >= 32768) << i;
    }
  }
}

TEST(ReadFloat32, EveryBFloat16IsExact) {
  std::vector<uint16_t> stored(65536);
  for (size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<uint16_t>(i);
  const std::vector<float> values = Floats(MemorySource(DType::kBF16, {256, 256}, BytesOf(stored)));
  for (size_t i = 0; i < stored.size(); ++i) ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), i << 16);
}

TEST(ReadFloat32, FloatsAndDoubles) {
  EXPECT_THAT(Floats(MemorySource(DType::kF32, {2}, BytesOf<float>({1.5f, -2.0f}))),
              ElementsAre(1.5f, -2.0f));
  EXPECT_THAT(Floats(MemorySource(DType::kF64, {2}, BytesOf<double>({0.1, -2.0}))), ElementsAre(0.1f, -2.0f));
}

// 70 blocks: more than one chunk, and a last chunk that is not full. Scale and minimum of block b are b + 1
// and -b / 2.
constexpr size_t kBlocks = 70;

uint16_t HalfOf(double value) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    if (((bits >> 10) & 31) != 31 && HalfByDefinition(static_cast<uint16_t>(bits)) == value) {
      return static_cast<uint16_t>(bits);
    }
  }
  ADD_FAILURE() << value << " is no half";
  return 0;
}

void AppendHalf(double value, std::vector<uint8_t>& bytes) {
  const uint16_t half = HalfOf(value);
  bytes.push_back(static_cast<uint8_t>(half & 255));
  bytes.push_back(static_cast<uint8_t>(half >> 8));
}

// 4-bit code of value i of a block.
int Code(size_t block, size_t i) { return static_cast<int>((7 * i + 3 * block) % 16); }

void AppendCodes(size_t block, std::vector<uint8_t>& bytes) {
  for (size_t i = 0; i < 16; ++i) {
    bytes.push_back(static_cast<uint8_t>(Code(block, i) | Code(block, i + 16) << 4));
  }
}

TEST(ReadFloat32, Q4_1IsScaleTimesCodePlusMinimum) {
  std::vector<uint8_t> bytes;
  for (size_t b = 0; b < kBlocks; ++b) {
    AppendHalf(b + 1.0, bytes);
    AppendHalf(b / -2.0, bytes);
    AppendCodes(b, bytes);
  }
  const std::vector<float> values = Floats(MemorySource(DType::kQ4_1, {kBlocks, 32}, bytes));
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t b = i / 32;
    ASSERT_EQ(values[i], (b + 1.0) * Code(b, i % 32) + b / -2.0) << i;
  }
}

TEST(ReadFloat32, Q4_0IsScaleTimesCodeAroundEight) {
  std::vector<uint8_t> bytes;
  for (size_t b = 0; b < kBlocks; ++b) {
    AppendHalf(b + 1.0, bytes);
    AppendCodes(b, bytes);
  }
  const std::vector<float> values = Floats(MemorySource(DType::kQ4_0, {kBlocks, 32}, bytes));
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(values[i], (i / 32 + 1.0) * (Code(i / 32, i % 32) - 8)) << i;
  }
}

TEST(ReadFloat32, Q8_0IsScaleTimesSignedByte) {
  std::vector<uint8_t> bytes;
  for (size_t b = 0; b < kBlocks; ++b) {
    AppendHalf(b + 1.0, bytes);
    for (size_t i = 0; i < 32; ++i) bytes.push_back(static_cast<uint8_t>(8 * i + b));
  }
  const std::vector<float> values = Floats(MemorySource(DType::kQ8_0, {kBlocks, 32}, bytes));
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(values[i], (i / 32 + 1.0) * static_cast<int8_t>(static_cast<uint8_t>(8 * (i % 32) + i / 32)))
        << i;
  }
}

TEST(ReadFloat32, WholeNumbersAreRefusedByName) {
  const MemorySource source(DType::kI64, {1}, BytesOf<int64_t>({1}));
  std::vector<float> out(1);
  const Status status = ReadFloat32(source, source.tensors()[0], out);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(Message(status)), ::testing::HasSubstr("'t' has type I64"));
}

}  // namespace
}  // namespace ft::weights
