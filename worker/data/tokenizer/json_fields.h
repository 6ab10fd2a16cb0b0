// Typed reads from a JSON object, for the readers in this folder. A missing or null key is absence; a wrong
// type is an error that names file and key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "worker/data/tokenizer/added_tokens.h"

namespace ft::tokenizer {

// An object of a file; `key` is its place there, empty at the top.
struct JsonObject {
  const nlohmann::json* value;
  std::string file;
  std::string key;

  // "key.name"
  std::string Path(std::string_view name) const;
  Status Fail(std::string_view name, std::string_view what) const;

  // nullptr when missing or null.
  const nlohmann::json* Find(const char* name) const;
  StatusOr<std::optional<std::string>> String(const char* name) const;
  StatusOr<std::optional<bool>> Bool(const char* name) const;
  StatusOr<std::optional<int64_t>> Integer(const char* name) const;
  StatusOr<std::optional<JsonObject>> Object(const char* name) const;
  // nullptr when missing or null.
  StatusOr<const nlohmann::json*> Array(const char* name) const;
};

// Reads and parses a file of at most max_bytes that holds one object.
StatusOr<nlohmann::json> ReadJsonObject(const std::filesystem::path& path, uint64_t max_bytes);

// An added token as both tokenizer.json and added_tokens_decoder write it.
StatusOr<AddedToken> ReadAddedToken(const JsonObject& object, int32_t id);

}  // namespace ft::tokenizer
