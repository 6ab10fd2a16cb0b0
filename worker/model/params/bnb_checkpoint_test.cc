#include "worker/model/params/bnb_checkpoint.h"

#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/shared_dir.h"

namespace ft::params {
namespace {

constexpr const char* kName = "model.layers.0.self_attn.q_proj.weight";

// The reference checkpoint in memory, to be spoilt.
class Copy final : public weights::TensorSource {
 public:
  Copy() {
    const auto file =
        std::filesystem::path(FT_SOURCE_DIR) / "tests/golden/nf4/bnb_4bit_checkpoint.safetensors";
    const auto source = weights::OpenWeights(file);
    EXPECT_TRUE(source.ok());
    for (const weights::TensorInfo& info : (*source)->tensors()) {
      std::string bytes(*weights::StoredBytes(info.dtype, info.elements()), '\0');
      EXPECT_TRUE(
          (*source)->ReadBytes(info, std::as_writable_bytes(std::span(bytes.data(), bytes.size()))).ok());
      infos.push_back(info);
      content[info.name] = bytes;
    }
  }
  const std::vector<weights::TensorInfo>& tensors() const override { return infos; }
  Status ReadBytes(const weights::TensorInfo& info, std::span<std::byte> out) const override {
    std::memcpy(out.data(), content.at(info.name).data(), out.size());
    return absl::OkStatus();
  }
  // Replaces the state by `text`.
  void SetState(const std::string& text) {
    const std::string name = std::string(kName) + ".quant_state.bitsandbytes__nf4";
    content[name] = text;
    for (weights::TensorInfo& info : infos) {
      if (info.name == name) info.shape = {static_cast<int64_t>(text.size())};
    }
  }
  std::vector<weights::TensorInfo> infos;
  std::map<std::string, std::string> content;
};

TEST(BnbCheckpoint, TheReferenceIsRead) {
  const Copy source;
  EXPECT_TRUE(IsBnb4(source, kName));
  const auto tensor = ReadBnbNf4(source, kName);
  ASSERT_TRUE(tensor.ok()) << Message(tensor.status());
  EXPECT_EQ(tensor->shape, (std::vector<int64_t>{128, 64}));
  EXPECT_EQ(*BnbShape(source, kName), tensor->shape);
}

TEST(BnbCheckpoint, CompanionsAreRecognised) {
  EXPECT_TRUE(IsBnbCompanion("a.weight.absmax"));
  EXPECT_TRUE(IsBnbCompanion("a.weight.quant_state.bitsandbytes__nf4"));
  EXPECT_FALSE(IsBnbCompanion("a.weight"));
}

TEST(BnbCheckpoint, LyingStatesAreRefusedWithTheTensorsName) {
  for (
      const char* state :
      {"", "[]", "{", R"({"quant_type": "fp4"})",
       R"({"quant_type": "nf4", "blocksize": 128, "shape": [128, 64]})",
       R"({"quant_type": "nf4", "blocksize": 64})",
       R"({"quant_type": "nf4", "blocksize": 64, "shape": [-1, 64]})",
       R"({"quant_type": "nf4", "blocksize": 64, "shape": [4611686018427387904, 64]})",
       R"({"quant_type": "nf4", "blocksize": 64, "shape": ["x"]})",
       R"({"quant_type": "nf4", "blocksize": 64, "shape": [128, 65], "nested_offset": 1, "nested_blocksize": 256})",
       R"({"quant_type": "nf4", "blocksize": 64, "shape": [128, 64], "nested_offset": "1", "nested_blocksize": 256})",
       R"({"quant_type": "nf4", "blocksize": 64, "shape": [128, 64]})"}) {
    Copy source;
    source.SetState(state);
    const auto tensor = ReadBnbNf4(source, kName);
    ASSERT_FALSE(tensor.ok()) << state;
    EXPECT_NE(Message(tensor.status()).find(kName), std::string_view::npos) << Message(tensor.status());
  }
}

// 140: what is read part by part in 4 bits, and what the file's own tables give, are the same numbers.
TEST(CasesBnb, DequantisedByTheTablesIsWhatTheKernelGives) {
  Copy source;
  const auto fast = DequantiseBnb(source, kName);
  ASSERT_TRUE(fast.ok()) << Message(fast.status());
  EXPECT_TRUE(at::equal(*fast, ops::DequantiseNf4(*ReadBnbNf4(source, kName), at::kFloat)));
  // Another table, which only the general way reads; put back to the standard values it would be this one.
  Copy spoilt;
  float first = 0;
  std::memcpy(&first, spoilt.content[std::string(kName) + ".quant_map"].data(), sizeof(first));
  const float doubled = 2 * first;
  std::memcpy(spoilt.content[std::string(kName) + ".quant_map"].data(), &doubled, sizeof(doubled));
  const auto slow = DequantiseBnb(spoilt, kName);
  ASSERT_TRUE(slow.ok()) << Message(slow.status());
  ASSERT_EQ(slow->sizes(), fast->sizes());
  // The values of code 0 are twice what they were, all others the same.
  const torch::Tensor close = fast->abs() * 1e-5f;
  const torch::Tensor same = (*slow - *fast).abs() <= close, twice = (*slow - 2 * *fast).abs() <= close;
  EXPECT_TRUE((same | twice).all().item<bool>());
  EXPECT_TRUE((~same).any().item<bool>());
}

// Four values by hand: fp4, one block, the high half of a byte first.
TEST(CasesBnb, Fp4IsDequantised) {
  Copy source;
  source.infos.clear();
  source.content.clear();
  const auto add = [&](const std::string& name, weights::DType dtype, std::vector<int64_t> shape,
                       const void* data) {
    source.infos.push_back({name, dtype, std::move(shape)});
    const weights::TensorInfo& info = source.infos.back();
    source.content[name] =
        std::string(static_cast<const char*>(data), *weights::StoredBytes(dtype, info.elements()));
  };
  float table[16];
  for (int i = 0; i < 16; ++i) table[i] = static_cast<float>(i) / 16;
  const uint8_t packed[] = {0x12, 0xf0};
  const float absmax = 8;
  const std::string state = R"({"quant_type": "fp4", "blocksize": 128, "shape": [2, 2], "dtype": "float16"})";
  add("w.weight", weights::DType::kU8, {2, 1}, packed);
  add("w.weight.absmax", weights::DType::kF32, {1}, &absmax);
  add("w.weight.quant_map", weights::DType::kF32, {16}, table);
  add("w.weight.quant_state.bitsandbytes__fp4", weights::DType::kU8, {static_cast<int64_t>(state.size())},
      state.data());
  EXPECT_TRUE(IsBnb4(source, "w.weight"));
  EXPECT_TRUE(IsBnbCompanion("w.weight.quant_state.bitsandbytes__fp4"));
  EXPECT_EQ(ReadBnbNf4(source, "w.weight").status().code(), absl::StatusCode::kUnimplemented);
  const auto values = DequantiseBnb(source, "w.weight");
  ASSERT_TRUE(values.ok()) << Message(values.status());
  EXPECT_TRUE(at::equal(*values, torch::tensor({{0.5f, 1.0f}, {7.5f, 0.0f}})));
}

TEST(BnbCheckpoint, AnotherTableIsRefused) {
  Copy source;
  source.content[StrCat(kName, ".quant_map")][2] ^= 1;
  EXPECT_EQ(ReadBnbNf4(source, kName).status().code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace ft::params
