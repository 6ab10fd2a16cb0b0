#include "worker/model/weights/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

#include "tests/support/shared_dir.h"
#include "tests/support/temp_dir.h"

namespace ft::weights {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::span<const std::byte> AsBytes(const std::vector<float>& values) {
  return std::as_bytes(std::span(values));
}

// The bytes of a file with this header and this much data.
std::string FileWith(std::string_view header, size_t data_bytes) {
  const uint64_t length = header.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof(length));
  file += header;
  for (size_t i = 0; i < data_bytes; ++i) file.push_back(static_cast<char>(i));
  return file;
}

class SafetensorsTest : public ::testing::Test {
 protected:
  fs::path Write(const std::string& name, std::string_view content) {
    const fs::path path = dir_ / name;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;  // Hundreds of files: no fsync.
    return path;
  }
  // The message with which a file of these bytes is refused; "" when it is accepted.
  std::string Refusal(std::string_view content) {
    const auto file = SafetensorsFile::Open(Write("bad.safetensors", content));
    if (file.ok()) return "";
    EXPECT_TRUE(absl::IsInvalidArgument(file.status())) << file.status();
    EXPECT_THAT(std::string(Message(file.status())), HasSubstr("bad.safetensors"));
    return std::string(Message(file.status()));
  }
  std::string RefusedHeader(std::string_view header, size_t data_bytes) {
    return Refusal(FileWith(header, data_bytes));
  }

  fs::path WriteTwo() {
    const std::vector<TensorData> tensors = {{{"b.weight", DType::kF32, {2, 3}}, AsBytes(six_)},
                                             {{"a.weight", DType::kF32, {2}}, AsBytes(two_)},
                                             {{"empty", DType::kF32, {0, 4}}, {}}};
    const auto digest =
        WriteSafetensors(dir_ / "two.safetensors", tensors, {{"format", "pt"}, {"note", "a \"b\" é"}});
    EXPECT_TRUE(digest.ok()) << digest.status();
    digest_ = digest.value_or("");
    return dir_ / "two.safetensors";
  }

  testing::TempDir dir_;
  const std::vector<float> six_ = {1, 2, 3, 4, 5, 6};
  const std::vector<float> two_ = {-7, 0.5};
  std::string digest_;
};

TEST_F(SafetensorsTest, WhatIsWrittenComesBack) {
  const auto file = SafetensorsFile::Open(WriteTwo());
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ((*file)->tensors().size(), 3u);
  EXPECT_EQ((*file)->tensors()[0].name, "b.weight");
  EXPECT_EQ((*file)->metadata().at("note"), "a \"b\" é");
  const TensorInfo* b = (*file)->Find("b.weight");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->shape, (std::vector<int64_t>{2, 3}));
  std::vector<float> values(6);
  ASSERT_TRUE(ReadFloat32(**file, *b, values).ok());
  EXPECT_EQ(values, six_);
  values.resize(2);
  ASSERT_TRUE(ReadFloat32(**file, *(*file)->Find("a.weight"), values).ok());
  EXPECT_EQ(values, two_);
  ASSERT_TRUE(ReadFloat32(**file, *(*file)->Find("empty"), std::span<float>()).ok());
  EXPECT_EQ((*file)->Find("c.weight"), nullptr);
}

TEST_F(SafetensorsTest, BytesAreDeterministicAlignedAndHashed) {
  const std::string first = *ReadFile(WriteTwo());
  const std::string first_digest = digest_;
  const std::string second = *ReadFile(WriteTwo());
  EXPECT_EQ(first, second);
  EXPECT_EQ(first_digest, Hex(Sha256Of(second)));
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, first.data(), sizeof(header_bytes));
  EXPECT_EQ(header_bytes % 8, 0u);
  EXPECT_TRUE(nlohmann::json::accept(first.substr(8, header_bytes)));
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.path()), fs::directory_iterator()), 1);
}

TEST_F(SafetensorsTest, EveryTruncationAndAnyTailIsRefused) {
  const std::string good = *ReadFile(WriteTwo());
  for (size_t size = 0; size < good.size(); ++size) EXPECT_NE(Refusal(good.substr(0, size)), "") << size;
  EXPECT_THAT(Refusal(good + "x"), HasSubstr("1 bytes follow the last tensor"));
}

TEST_F(SafetensorsTest, FlippedHeaderBytesNeverCrash) {
  const std::string good = *ReadFile(WriteTwo());
  size_t refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (const int flip : {0x01, 0x20, 0x80}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      refused += SafetensorsFile::Open(Write("flipped.safetensors", bad)).ok() ? 0 : 1;
    }
  }
  EXPECT_GT(refused, 300u);  // Only names, notes and data may change unseen.
}

TEST_F(SafetensorsTest, LyingSizesAreRefusedByTensor) {
  EXPECT_THAT(RefusedHeader(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4),
              HasSubstr("tensor 'w': its bytes 0 to 8 do not lie within the 4 bytes of data"));
  EXPECT_THAT(RefusedHeader(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8),
              HasSubstr("tensor 'w'"));
  EXPECT_THAT(RefusedHeader(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8),
              HasSubstr("tensor 'w': type F32 and shape [3] need 12 bytes, its offsets give 8"));
  EXPECT_THAT(RefusedHeader(R"({"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8),
              HasSubstr("tensor 'w': its shape has a negative size"));
  EXPECT_THAT(
      RefusedHeader(R"({"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})", 8),
      HasSubstr("tensor 'w': its shape [4294967296, 4294967296] has more elements"));
  EXPECT_THAT(
      RefusedHeader(R"({"w":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})", 8),
      HasSubstr("tensor 'w'"));
  EXPECT_THAT(RefusedHeader(R"({"w":{"dtype":"F32","shape":[1e400],"data_offsets":[0,8]}})", 8),
              HasSubstr("tensor 'w'"));
  EXPECT_THAT(RefusedHeader(R"({"w":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8),
              HasSubstr("tensor 'w': '2.0' is not a whole number"));
}

TEST_F(SafetensorsTest, OverlapsAndHolesAreRefused) {
  EXPECT_THAT(RefusedHeader(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                            R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                            12),
              HasSubstr("tensor 'b': its bytes overlap another tensor's"));
  EXPECT_THAT(RefusedHeader(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                            R"("b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
                            12),
              HasSubstr("tensor 'b': there is a hole before its bytes"));
}

TEST_F(SafetensorsTest, DuplicateAndUnknownKeysAreRefused) {
  EXPECT_THAT(RefusedHeader(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                            R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                            2),
              HasSubstr("the name 'a' is there twice"));
  EXPECT_THAT(RefusedHeader(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("tensor 'a': the key 'dtype' is there twice"));
  EXPECT_THAT(RefusedHeader(R"({"__metadata__":{"k":"1","k":"2"}})", 0), HasSubstr("the key 'k' is twice"));
  EXPECT_THAT(RefusedHeader(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"code":"x"}})", 1),
              HasSubstr("tensor 'a': the key 'code' is unknown"));
  EXPECT_THAT(RefusedHeader(R"({"a":{"dtype":"U8","shape":[1]}})", 0), HasSubstr("tensor 'a': it lacks"));
  EXPECT_THAT(RefusedHeader(R"({"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}})", 1),
              HasSubstr("tensor 'a': type 'F8_E4M3' is not supported"));
}

TEST_F(SafetensorsTest, WrongJsonIsRefused) {
  for (const std::string header :
       {"", "[]", " {}", "{", "{}x", "null", R"({"a":1})", R"({"a":[]})", R"({"a":{"dtype":{}}})",
        R"({"a":{"shape":[[1]]}})", R"({"a":{"data_offsets":[0,1,2]}})", R"({"a":{"data_offsets":[0]}})",
        R"({"__metadata__":{"k":1}})", R"({"__metadata__":"x"})", R"({"a":true})", "{\"\xff\":{}}"}) {
    EXPECT_NE(RefusedHeader(header, 0), "") << header;
  }
  EXPECT_NE(RefusedHeader("{\"a\":{\"shape\":" + std::string(100000, '['), 0), "");
}

TEST_F(SafetensorsTest, HugeHeaderLengthsAreRefusedBeforeAllocation) {
  const auto with_length = [](uint64_t length) {
    return std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + "{}";
  };
  EXPECT_THAT(Refusal(with_length(~uint64_t{0})), HasSubstr("more than the 100000000 allowed"));
  EXPECT_THAT(Refusal(with_length(100'000'001)), HasSubstr("more than the 100000000 allowed"));
  EXPECT_THAT(Refusal(with_length(99'000'000)), HasSubstr("ends within its header"));
}

TEST_F(SafetensorsTest, WriterRefusesWhatCannotBeRead) {
  const fs::path path = dir_ / "out.safetensors";
  const auto refused = [&](const TensorInfo& a, const TensorInfo& b) {
    return !SafetensorsWriter::Create(path, std::vector<TensorInfo>{a, b}, {}).ok();
  };
  const TensorInfo plain{"a", DType::kF32, {1}};
  EXPECT_TRUE(refused(plain, plain));
  EXPECT_TRUE(refused(plain, {"b", DType::kQ4_0, {32}}));
  EXPECT_TRUE(refused(plain, {"b", DType::kF32, {-1}}));
  EXPECT_TRUE(refused(plain, {"__metadata__", DType::kF32, {1}}));
  EXPECT_TRUE(refused(plain, {"\xff", DType::kF32, {1}}));
  EXPECT_FALSE(WriteSafetensors(path, std::vector<TensorData>{{plain, AsBytes(two_)}}, {}).ok());
  EXPECT_TRUE(fs::is_empty(dir_.path()));
}

TEST_F(SafetensorsTest, UnfinishedWritersLeaveTheOldFile) {
  const fs::path path = WriteTwo();
  const std::string before = *ReadFile(path);
  {
    auto writer = SafetensorsWriter::Create(path, std::vector<TensorInfo>{{"a", DType::kF32, {2}}}, {});
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE(writer->Append(AsBytes(two_).first(4)).ok());
    EXPECT_FALSE(writer->Append(AsBytes(two_)).ok());
    EXPECT_FALSE(writer->Finish().ok());
  }
  EXPECT_EQ(*ReadFile(path), before);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_.path()), fs::directory_iterator()), 1);
}

class ShardsTest : public SafetensorsTest {
 protected:
  void WriteShard(const std::string& file, const std::string& tensor, const std::vector<float>& values) {
    const TensorData data{{tensor, DType::kF32, {static_cast<int64_t>(values.size())}}, AsBytes(values)};
    ASSERT_TRUE(WriteSafetensors(dir_ / file, std::vector<TensorData>{data}, {}).ok());
  }
  std::string FolderRefusal() {
    const auto source = OpenWeights(dir_.path());
    return source.ok() ? "" : std::string(Message(source.status()));
  }
};

constexpr char kIndex[] = "model.safetensors.index.json";

TEST_F(ShardsTest, ShardsAreSeenAsOneModel) {
  WriteShard("s1.safetensors", "a", six_);
  WriteShard("s2.safetensors", "b", two_);
  Write(
      kIndex,
      R"({"metadata":{"total_size":32,"x":[{}]},"weight_map":{"b":"s2.safetensors","a":"s1.safetensors"}})");
  const auto source = OpenWeights(dir_.path());
  ASSERT_TRUE(source.ok()) << source.status();
  ASSERT_EQ((*source)->tensors().size(), 2u);
  EXPECT_EQ((*source)->tensors()[0].name, "a");
  std::vector<float> values(2);
  ASSERT_TRUE(ReadFloat32(**source, *(*source)->Find("b"), values).ok());
  EXPECT_EQ(values, two_);
}

TEST_F(ShardsTest, MissingShardsAndTensorsAreNamed) {
  WriteShard("s1.safetensors", "a", six_);
  Write(kIndex, R"({"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})");
  EXPECT_THAT(FolderRefusal(), HasSubstr("s2.safetensors is missing"));
  EXPECT_THAT(FolderRefusal(), HasSubstr("tensor 'b'"));
  Write(kIndex, R"({"weight_map":{"a":"s1.safetensors","b":"s1.safetensors"}})");
  EXPECT_THAT(FolderRefusal(), HasSubstr("tensor 'b' is not in s1.safetensors"));
}

TEST_F(ShardsTest, WrongIndexesAreRefused) {
  WriteShard("s1.safetensors", "a", six_);
  for (const std::string index :
       {"", "{}", "[]", R"({"weight_map":{}})", R"({"weight_map":[]})", R"({"weight_map":"x"})",
        R"({"weight_map":{"a":1}})", R"({"weight_map":{"a":"../s1.safetensors"}})",
        R"({"weight_map":{"a":"/s1.safetensors"}})",
        R"({"weight_map":{"a":"s1.safetensors","a":"s1.safetensors"}})",
        R"({"weight_map":{"a":{"b":"s1.safetensors"}}})",
        R"({"weight_map":{"a":"s1.safetensors"},"weight_map":{"a":"s1.safetensors"}})",
        R"({"weight_map":{"a":".."}})"}) {
    Write(kIndex, index);
    EXPECT_THAT(FolderRefusal(), HasSubstr(kIndex)) << index;
  }
  Write(kIndex, "{\"metadata\":" + std::string(100000, '['));
  EXPECT_THAT(FolderRefusal(), HasSubstr("nested deeper"));
}

TEST_F(ShardsTest, FoldersWithoutWeightsAreRefused) {
  EXPECT_THAT(FolderRefusal(), HasSubstr("holds no weights"));
  EXPECT_TRUE(absl::IsNotFound(OpenWeights(dir_ / "absent").status()));
  EXPECT_FALSE(OpenWeights(Write("notes.txt", "x")).ok());
}

TEST(GoldenSafetensors, FilesOfTheReferenceLibraryAreRead) {
  const auto shared = testing::SharedDir();
  if (!shared) GTEST_SKIP() << "the folder shared/golden is not beside this checkout";
  // The sums of squares of the embeddings, as Python's struct and fsum give them.
  const std::pair<const char*, double> cases[] = {{"llama_mha", 106.38044741560297},
                                                  {"llama_gqa_llama3rope", 115.73033257347177},
                                                  {"yi_gqa", 105.89909302019545}};
  for (const auto& [name, expected] : cases) {
    const auto source = OpenWeights(*shared / "golden" / name);
    ASSERT_TRUE(source.ok()) << source.status();
    const TensorInfo* embedding = (*source)->Find("model.embed_tokens.weight");
    ASSERT_NE(embedding, nullptr) << name;
    std::vector<float> values(embedding->elements());
    ASSERT_TRUE(ReadFloat32(**source, *embedding, values).ok());
    double squares = 0;
    for (const float value : values) squares += static_cast<double>(value) * value;
    EXPECT_NEAR(squares, expected, 1e-9) << name;
  }
}

}  // namespace
}  // namespace ft::weights
