#include "worker/model/params/read_slot.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <vector>

#include "gtest/gtest.h"
#include "worker/model/ops/nf4_weight.h"

namespace ft::params {
namespace {

// One tensor in memory, which remembers where it was last read to.
class OneTensor final : public weights::TensorSource {
 public:
  OneTensor(weights::DType dtype, const torch::Tensor& values)
      : infos_{{"t", dtype, values.sizes().vec()}}, values_(values.contiguous()) {}
  const std::vector<weights::TensorInfo>& tensors() const override { return infos_; }
  Status ReadBytes(const weights::TensorInfo&, std::span<std::byte> out) const override {
    EXPECT_EQ(out.size(), values_.nbytes());
    std::memcpy(out.data(), values_.const_data_ptr(), std::min(out.size(), values_.nbytes()));
    place_ = out.data();
    return absl::OkStatus();
  }
  const void* place() const { return place_; }

 private:
  std::vector<weights::TensorInfo> infos_;
  torch::Tensor values_;
  mutable const void* place_ = nullptr;
};

ops::SlotPtr Read(const OneTensor& source, const FrozenPolicy& policy) {
  StatusOr<ops::SlotPtr> slot = ReadFrozenSlot(source, source.tensors()[0], "t", policy);
  EXPECT_TRUE(slot.ok()) << slot.status();
  return *std::move(slot);
}

torch::Tensor Values(at::ScalarType type, std::vector<int64_t> shape) {
  at::manual_seed(1);
  return torch::randn(shape).to(type);
}

TEST(ReadFrozenSlot, AMatrixOfTheKeptTypeIsReadIntoItsPlace) {
  for (const auto& [dtype, type] :
       {std::pair(weights::DType::kBF16, at::kBFloat16), std::pair(weights::DType::kF16, at::kHalf)}) {
    const torch::Tensor values = Values(type, {32, 64});
    const OneTensor source(dtype, values);
    const ops::SlotPtr slot = Read(source, {.stored = type});
    ASSERT_EQ(slot->Held().size(), 1u);
    EXPECT_EQ(slot->Held()[0].const_data_ptr(), source.place()) << "there was a copy on the way";
    EXPECT_TRUE(torch::equal(slot->Held()[0], values));
  }
}

// It is quantised a part at a time, by several threads; the last part and the last block are short.
TEST(ReadFrozenSlot, InFourBitsItHasTheCodesOfTheWhole) {
  const torch::Tensor values = Values(at::kBFloat16, {333, 700});
  const ops::SlotPtr slot = Read(OneTensor(weights::DType::kBF16, values), {.kind = BaseKind::kNf4});
  const ops::Nf4Tensor whole = ops::QuantiseNf4(values.to(at::kFloat));
  const auto* nf4 = dynamic_cast<const ops::Nf4Weight*>(slot.get());
  ASSERT_NE(nf4, nullptr);
  EXPECT_EQ(nf4->tensor().shape, whole.shape);
  EXPECT_EQ(nf4->tensor().offset, whole.offset);
  EXPECT_TRUE(torch::equal(nf4->tensor().packed, whole.packed));
  EXPECT_TRUE(torch::equal(nf4->tensor().absmax_codes, whole.absmax_codes));
  EXPECT_TRUE(torch::equal(nf4->tensor().nested_absmax, whole.nested_absmax));
}

TEST(ReadFrozenSlot, OfAnotherTypeItIsRounded) {
  const torch::Tensor values = Values(at::kHalf, {32, 64});
  const ops::SlotPtr slot = Read(OneTensor(weights::DType::kF16, values), {.stored = at::kBFloat16});
  EXPECT_TRUE(torch::equal(slot->Held()[0], values.to(at::kFloat).to(at::kBFloat16)));
}

TEST(ReadFrozenSlot, AVectorIsFloat32WhateverIsKept) {
  const torch::Tensor values = Values(at::kBFloat16, {64});
  const ops::SlotPtr slot = Read(OneTensor(weights::DType::kBF16, values), {.stored = at::kBFloat16});
  EXPECT_TRUE(torch::equal(slot->Held()[0], values.to(at::kFloat)));
}

TEST(ReadFrozenSlot, AMatrixThatIsToBeQuantisedIs) {
  const torch::Tensor values = Values(at::kBFloat16, {64, 64});
  const ops::SlotPtr slot =
      Read(OneTensor(weights::DType::kBF16, values), {.stored = at::kBFloat16, .kind = BaseKind::kNf4});
  int64_t bytes = 0;
  for (const torch::Tensor& held : slot->Held()) bytes += static_cast<int64_t>(held.nbytes());
  EXPECT_LT(bytes, values.numel());
}

}  // namespace
}  // namespace ft::params
