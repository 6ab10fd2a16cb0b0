#include "worker/quant/bnb_checkpoint.h"

#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/shared_dir.h"

namespace ft::quant {
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
  const weights::TensorInfo* Find(std::string_view name) const override {
    for (const weights::TensorInfo& info : infos) {
      if (info.name == name) return &info;
    }
    return nullptr;
  }
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
  EXPECT_TRUE(IsBnbNf4(source, kName));
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

TEST(BnbCheckpoint, AnotherTableIsRefused) {
  Copy source;
  source.content[std::string(kName) + ".quant_map"][2] ^= 1;
  EXPECT_EQ(ReadBnbNf4(source, kName).status().code(), absl::StatusCode::kUnimplemented);
}

}  // namespace
}  // namespace ft::quant
