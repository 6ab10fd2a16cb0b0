#include "client/job/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/job/outline.h"
#include "core/base/file.h"
#include "tests/support/temp_dir.h"

namespace ft::client {
namespace {

using ::testing::HasSubstr;

template <typename T>
std::string Bytes(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}
std::string Text(std::string_view text) { return Bytes<uint64_t>(text.size()) + std::string(text); }

// A Llama's header: metadata, and an embedding of 8 tokens of 16 numbers.
std::string Gguf(std::string_view architecture) {
  constexpr uint32_t kUint32 = 4, kString = 8, kF32 = 0;
  const std::pair<const char*, uint32_t> counts[] = {
      {"llama.context_length", 64},      {"llama.embedding_length", 16},
      {"llama.block_count", 2},          {"llama.feed_forward_length", 32},
      {"llama.attention.head_count", 4}, {"llama.attention.head_count_kv", 2}};
  std::string metadata = Text("general.architecture") + Bytes(kString) + Text(architecture);
  for (const auto& [key, count] : counts) metadata += Text(key) + Bytes(kUint32) + Bytes(count);
  const std::string tensor = Text("token_embd.weight") + Bytes<uint32_t>(2) + Bytes<uint64_t>(16) +
                             Bytes<uint64_t>(8) + Bytes(kF32) + Bytes<uint64_t>(0);
  std::string file = "GGUF" + Bytes<uint32_t>(3) + Bytes<uint64_t>(1) +
                     Bytes<uint64_t>(1 + std::size(counts)) + metadata + tensor;
  file.resize((file.size() + 31) / 32 * 32 + 16 * 8 * 4);
  return file;
}

class ModelConfigTest : public ::testing::Test {
 protected:
  StatusOr<ModelConfig> ConfigOf(const std::string& content) {
    EXPECT_TRUE(WriteFileDurably(dir_ / "m.gguf", content).ok());
    recipe::JobSpec spec;
    spec.model.source = (dir_ / "m.gguf").string();
    JobText text;
    text.model_config = "{}";
    return ModelConfigOf(text, spec);
  }
  ft::testing::TempDir dir_;
};

TEST_F(ModelConfigTest, AGgufFileTellsItsSizesByItsHeader) {
  const auto config = ConfigOf(Gguf("llama"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->file, (dir_ / "m.gguf").string());
  EXPECT_EQ(config->remark, "");
  recipe::JobSpec spec;
  spec.model.source = config->file;
  spec.data.push_back({.source = "d"});
  const auto outline = OutlineOf(spec, config->text, config->file, 0);
  ASSERT_TRUE(outline.ok()) << outline.status();
  EXPECT_EQ(outline->model.model_type, "llama");
  EXPECT_EQ(outline->model.shape.hidden, 16);
  EXPECT_EQ(outline->model.shape.layers, 2);
  EXPECT_EQ(outline->model.shape.key_heads, 2);
  EXPECT_EQ(outline->model.shape.vocabulary, 8);
  EXPECT_TRUE(outline->model.shape.tied_head);
}

TEST_F(ModelConfigTest, WhatIsWrongWithAGgufFileIsSaidByItsName) {
  EXPECT_THAT(std::string(Message(ConfigOf(Gguf("mamba")).status())),
              HasSubstr("m.gguf: architecture 'mamba' is not read from GGUF, only llama is"));
  const std::string whole = Gguf("llama");
  EXPECT_THAT(std::string(Message(ConfigOf(whole.substr(0, 250)).status())),
              HasSubstr("m.gguf: metadata entry 5: a text of 26 bytes does not fit"));
  EXPECT_THAT(std::string(Message(ConfigOf(whole.substr(0, 100)).status())),
              HasSubstr("m.gguf: its header promises 7 metadata entries, more than it can hold"));
}

}  // namespace
}  // namespace ft::client
