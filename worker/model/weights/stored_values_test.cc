#include "worker/model/weights/stored_values.h"

#include <cstring>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace ft::weights {
namespace {

constexpr uint64_t kValues = 2048;

// One tensor of bytes that follow no pattern.
class RandomSource final : public TensorSource {
 public:
  explicit RandomSource(DType dtype) : infos_{{"t", dtype, {static_cast<int64_t>(kValues)}}} {
    std::mt19937 random(static_cast<uint32_t>(dtype));
    bytes_.resize(*StoredBytes(dtype, kValues));
    for (std::byte& byte : bytes_) byte = static_cast<std::byte>(random());
  }
  const std::vector<TensorInfo>& tensors() const override { return infos_; }
  Status ReadBytes(const TensorInfo&, std::span<std::byte> out) const override {
    EXPECT_EQ(out.size(), bytes_.size());
    std::memcpy(out.data(), bytes_.data(), out.size());
    return absl::OkStatus();
  }

 private:
  std::vector<TensorInfo> infos_;
  std::vector<std::byte> bytes_;
};

TEST(StoredValues, PartsHaveTheBitsOfTheWhole) {
  for (const DType dtype :
       {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1}) {
    const RandomSource source(dtype);
    std::vector<float> whole(kValues), parts(kValues);
    ASSERT_TRUE(ReadFloat32(source, source.tensors()[0], whole).ok());
    const StatusOr<StoredValues> values = StoredValues::Read(source, source.tensors()[0]);
    ASSERT_TRUE(values.ok()) << values.status();
    for (uint64_t first = 0; first < kValues; first += 96) {
      const uint64_t size = std::min<uint64_t>(96, kValues - first);
      values->Widen(first, std::span(parts).subspan(first, size));
    }
    EXPECT_EQ(std::memcmp(parts.data(), whole.data(), kValues * sizeof(float)), 0) << Name(dtype);
  }
}

TEST(StoredValues, RefusesATypeThatHoldsNoWeights) {
  const RandomSource source(DType::kI32);
  const Status status = StoredValues::Read(source, source.tensors()[0]).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(Message(status).find("tensor 't' has type I32"), std::string_view::npos) << status;
}

}  // namespace
}  // namespace ft::weights
