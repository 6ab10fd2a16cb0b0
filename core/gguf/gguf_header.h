// The header of a GGUF file: typed metadata, and the name, shape, type and place of each tensor.
// Little-endian versions 2 and 3. Source: the GGUF description in the ggml project's documentation.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/base/file.h"

namespace ft::gguf {

// Numbers of every width are widened; an array's elements all have one type. Arrays of arrays are refused.
using GgufValue =
    std::variant<bool, uint64_t, int64_t, double, std::string, std::vector<bool>, std::vector<uint64_t>,
                 std::vector<int64_t>, std::vector<double>, std::vector<std::string>>;

// The metadata by key, such as "general.architecture" or "tokenizer.ggml.tokens".
class GgufMetadata {
 public:
  // INVALID_ARGUMENT when the key is taken.
  Status Add(std::string key, GgufValue value);
  const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }

  // The value when the key is there and has just this type, else null: Get<std::string>,
  // Get<std::vector<std::string>>.
  template <typename T>
  const T* Get(std::string_view key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? nullptr : std::get_if<T>(&found->second);
  }
  // A whole number that is not negative, signed or not.
  std::optional<uint64_t> Count(std::string_view key) const;

 private:
  std::map<std::string, GgufValue, std::less<>> values_;
};

struct GgufTensor {
  std::string name;             // As stored.
  std::vector<uint64_t> sizes;  // Innermost first, as stored. 1 to 4 sizes, none 0.
  uint32_t type = 0;            // ggml's number.
  uint64_t offset = 0;          // From data_offset.
};

struct GgufHeader {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;
  // By its stored name; null when there is none.
  const GgufTensor* Find(std::string_view name) const;
  uint64_t data_offset = 0;  // In the file; a multiple of alignment.
  uint64_t alignment = 32;
};

// Every count and length is checked against the file's size before it is believed. INVALID_ARGUMENT; the
// message names the key or tensor, the caller adds the file.
StatusOr<GgufHeader> ReadGgufHeader(const RandomAccessFile& file);

}  // namespace ft::gguf
