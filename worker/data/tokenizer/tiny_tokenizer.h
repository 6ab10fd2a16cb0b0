// A small byte-level vocabulary for tests: all 256 bytes (id = byte), a few merges and ChatML's special
// tokens.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/file.h"
#include "worker/data/tokenizer/byte_level.h"

namespace ft::tokenizer {

// Merges by rank; their results have the ids 256, 257, ... in this order.
inline const std::vector<std::pair<std::string, std::string>>& TinyMerges() {
  static const std::vector<std::pair<std::string, std::string>> merges = {
      {"h", "e"}, {"l", "l"}, {"he", "ll"}, {"hell", "o"}, {" ", "w"}, {"o", "r"}, {" w", "or"}, {"a", "b"}};
  return merges;
}
inline constexpr int32_t kTinyHello = 259;      // "hello"
inline constexpr int32_t kTinyImStart = 264;    // "<|im_start|>"
inline constexpr int32_t kTinyImEnd = 265;      // "<|im_end|>"
inline constexpr int32_t kTinyEndOfText = 266;  // "<|endoftext|>"

inline nlohmann::json TinyAddedToken(int id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

// As in a model's tokenizer.json; tests change it and write it.
inline nlohmann::json TinyTokenizerJson() {
  nlohmann::json vocabulary = nlohmann::json::object();
  for (int byte = 0; byte < 256; ++byte)
    vocabulary[BytesToByteLevel(std::string(1, static_cast<char>(byte)))] = byte;
  nlohmann::json merges = nlohmann::json::array();
  int next_id = 256;
  for (const auto& [left, right] : TinyMerges()) {
    vocabulary[BytesToByteLevel(left + right)] = next_id++;
    merges.push_back(BytesToByteLevel(left) + " " + BytesToByteLevel(right));
  }
  const nlohmann::json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  nlohmann::json root;
  root["added_tokens"] = nlohmann::json::array({TinyAddedToken(kTinyImStart, "<|im_start|>"),
                                                TinyAddedToken(kTinyImEnd, "<|im_end|>"),
                                                TinyAddedToken(kTinyEndOfText, "<|endoftext|>")});
  root["normalizer"] = nullptr;
  root["pre_tokenizer"] = byte_level;
  root["post_processor"] = nullptr;
  root["decoder"] = byte_level;
  root["model"] = {{"type", "BPE"}, {"unk_token", nullptr}, {"vocab", vocabulary}, {"merges", merges}};
  return root;
}

inline nlohmann::json TinyTokenizerConfig() {
  return {{"bos_token", "<|endoftext|>"}, {"eos_token", "<|im_end|>"}, {"pad_token", "<|im_end|>"}};
}

inline void WriteTinyTokenizer(const std::filesystem::path& folder, const nlohmann::json& tokenizer,
                               const nlohmann::json& config) {
  FT_CHECK(MakeDirectories(folder).ok());
  FT_CHECK(WriteFileDurably(folder / "tokenizer.json", tokenizer.dump()).ok());
  FT_CHECK(WriteFileDurably(folder / "tokenizer_config.json", config.dump()).ok());
}

}  // namespace ft::tokenizer
