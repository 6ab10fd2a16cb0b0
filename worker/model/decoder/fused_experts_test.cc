#include "worker/model/decoder/fused_experts.h"

#include <cstring>
#include <map>

#include "gtest/gtest.h"
#include "worker/model/weights/mxfp4.h"

namespace ft::model {
namespace {

// Bytes in memory.
class Bytes final : public weights::TensorSource {
 public:
  void Add(const std::string& name, std::vector<int64_t> shape, weights::DType dtype = weights::DType::kU8) {
    infos_.push_back({name, dtype, std::move(shape)});
    const uint64_t size = *weights::StoredBytes(dtype, infos_.back().elements());
    for (uint64_t i = 0; i < size; ++i) bytes_[name].push_back(static_cast<std::byte>(i * 37 % 251));
  }
  const std::vector<weights::TensorInfo>& tensors() const override { return infos_; }
  Status ReadBytes(const weights::TensorInfo& info, std::span<std::byte> out) const override {
    std::memcpy(out.data(), bytes_.at(info.name).data(), out.size());
    return absl::OkStatus();
  }
  const std::vector<std::byte>& At(const std::string& name) const { return bytes_.at(name); }

 private:
  std::vector<weights::TensorInfo> infos_;
  std::map<std::string, std::vector<std::byte>> bytes_;
};

// Two experts of three rows and 64 inputs.
Layout TwoExperts() {
  Layout layout;
  for (int64_t e = 0; e < 2; ++e) {
    layout.push_back(
        {.name = StrCat("experts.", e, ".down.weight"),
         .shape = {3, 64},
         .role = {.part = Part::kProjection, .expert = e},
         .fused = FusedPlace{.tensor = "experts.down", .experts = 2, .rows = 3, .inputs_first = true}});
  }
  return layout;
}

TEST(FusedExperts, Mxfp4IsReadExpertByExpert) {
  Bytes source;
  source.Add("experts.down_blocks", {2, 3, 2, 16});
  source.Add("experts.down_scales", {2, 3, 2});
  source.Add("norm", {4});
  const Layout layout = TwoExperts();
  const auto split = SplitExperts(layout, source);
  ASSERT_TRUE(split.ok() && *split != nullptr) << split.status();
  EXPECT_EQ((*split)->tensors().size(), 3u);
  EXPECT_NE((*split)->Find("norm"), nullptr);
  EXPECT_EQ((*split)->Find("experts.down_blocks"), nullptr);
  std::vector<float> all(2 * 3 * 64), own(3 * 64);
  weights::DequantiseMxfp4(source.At("experts.down_blocks"), source.At("experts.down_scales"), all);
  ASSERT_TRUE(weights::ReadFloat32(**split, *(*split)->Find("experts.1.down.weight"), own).ok());
  EXPECT_EQ(own, std::vector<float>(all.begin() + 3 * 64, all.end()));
}

TEST(FusedExperts, Mxfp4ThatIsHalfThereOrNoneIsRefused) {
  const Layout layout = TwoExperts();
  const auto refusal = [&](const Bytes& source) {
    return std::string(Message(SplitExperts(layout, source).status()));
  };
  Bytes half, floats, few;
  half.Add("experts.down_blocks", {2, 3, 2, 16});
  EXPECT_EQ(refusal(half),
            "the weights have only one of experts.down_blocks and experts.down_scales, which are halves of "
            "one: copy "
            "the model's files again");
  floats.Add("experts.down_blocks", {2, 3, 2, 16}, weights::DType::kF32);
  floats.Add("experts.down_scales", {2, 3, 2});
  EXPECT_EQ(refusal(floats),
            "tensor experts.down_blocks is no MXFP4 of inputs in groups of 32 and 8-bit scales: take the "
            "model in BF16");
  few.Add("experts.down_blocks", {2, 3, 2, 16});
  few.Add("experts.down_scales", {2, 3, 1});
  EXPECT_EQ(refusal(few), "tensor experts.down_scales has shape [2, 3, 1], config.json asks for [2, 3, 2]");
}

TEST(FusedExperts, NothingIsSplitWhereNothingIsFused) {
  Bytes source;
  source.Add("norm", {4});
  const Layout layout = TwoExperts();
  const auto split = SplitExperts(layout, source);
  ASSERT_TRUE(split.ok()) << split.status();
  EXPECT_EQ(*split, nullptr);
}

}  // namespace
}  // namespace ft::model
