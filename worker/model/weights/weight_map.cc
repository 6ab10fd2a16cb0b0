#include "worker/model/weights/weight_map.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "core/base/file.h"

namespace ft::weights {
namespace {

constexpr uint64_t kMaxIndexBytes = 64 << 20;
constexpr size_t kMaxDepth = 32;
constexpr size_t kMaxFileNameBytes = 255;

bool IsPlainName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxFileNameBytes && name != "." && name != ".." &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

// Keeps the entries of the top-level "weight_map" and skips everything else.
class WeightMapParser final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::map<std::string, std::string> weight_map;
  bool found = false;
  std::string error;  // Why parsing stopped.

  bool null() override { return Skip(); }
  bool boolean(bool) override { return Skip(); }
  bool number_integer(number_integer_t) override { return Skip(); }
  bool number_unsigned(number_unsigned_t) override { return Skip(); }
  bool number_float(number_float_t, const string_t&) override { return Skip(); }
  bool binary(binary_t&) override { return Skip(); }
  bool string(string_t& value) override;
  bool key(string_t& key) override;
  bool start_object(std::size_t) override;
  bool end_object() override;
  bool start_array(std::size_t) override { return in_map_ ? Skip() : Deeper(); }
  bool end_array() override {
    --depth_;
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return Fail(StrCat("no valid JSON at byte ", position));
  }

 private:
  bool Fail(std::string_view why) {
    if (error.empty()) error = std::string(why);
    return false;
  }
  bool Skip() {
    if (in_map_) return Fail(StrCat("the file of tensor '", key_, "' is not given as text"));
    if (depth_ == 0 || (depth_ == 1 && key_ == "weight_map")) return Fail("weight_map is not an object");
    return true;
  }
  bool Deeper() {
    if (depth_ == 0 || (depth_ == 1 && key_ == "weight_map")) return Fail("weight_map is not an object");
    if (++depth_ > kMaxDepth) return Fail(StrCat("nested deeper than ", kMaxDepth));
    return true;
  }

  size_t depth_ = 0;  // Open objects and lists.
  bool in_map_ = false;
  std::string key_;
};

bool WeightMapParser::start_object(std::size_t) {
  if (in_map_) return Skip();
  if (depth_ == 1 && key_ == "weight_map") {
    if (found) return Fail("weight_map is there twice");
    found = in_map_ = true;
    ++depth_;
    return true;
  }
  if (depth_ == 0) {
    ++depth_;
    return true;
  }
  return Deeper();
}

bool WeightMapParser::end_object() {
  in_map_ = false;
  --depth_;
  return true;
}

bool WeightMapParser::key(string_t& key) {
  if (in_map_ && weight_map.contains(key)) return Fail(StrCat("tensor '", key, "' is there twice"));
  key_ = key;
  return true;
}

bool WeightMapParser::string(string_t& value) {
  if (!in_map_) return Skip();
  if (!IsPlainName(value)) {
    return Fail(StrCat("tensor '", key_, "' lies in a file that is not named plainly"));
  }
  weight_map.emplace(key_, value);
  return true;
}

}  // namespace

StatusOr<std::map<std::string, std::string>> ReadWeightMap(const std::filesystem::path& index_file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(index_file, kMaxIndexBytes));
  WeightMapParser parser;
  if (!nlohmann::json::sax_parse(text, &parser)) {
    return absl::InvalidArgumentError(StrCat(index_file.string(), ": ", parser.error));
  }
  if (parser.weight_map.empty()) {
    return absl::InvalidArgumentError(StrCat(index_file.string(), ": it has no weight_map with tensors"));
  }
  return std::move(parser.weight_map);
}

}  // namespace ft::weights
