#include "core/recipe/strict_json.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "core/base/excerpt.h"

namespace ft::recipe {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostBytes = 64 << 10;  // A tenth of that is a long one; keys are looked up one by one.
constexpr size_t kMostLevels = 64;
constexpr size_t kMostShown = 57;

// Builds nothing: hears the text's parts and stops at the first that is refused.
class Listener : public nlohmann::json_sax<Json> {
 public:
  Listener(std::string_view text, std::string_view file) : text_(text), file_(file) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_array(size_t) override { return Enter(); }
  bool end_array() override { return Leave(); }
  bool start_object(size_t) override { return Enter(); }
  bool end_object() override { return Leave(); }
  bool key(string_t& key) override {
    Level& level = levels_.back();
    level.key = key;
    if (level.keys.insert(key).second) return true;
    return Refuse(StrCat(file_, ": ", Path(), ": is there twice: keep one of the two"));
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    if (position > text_.size())
      return Refuse(
          StrCat(file_, ": ends before its JSON does, on line ", LineAt(text_.size()), ": write the rest"));
    return Refuse(StrCat(file_, ": line ", LineAt(position), " is no JSON from '",
                         Excerpt(text_.substr(position == 0 ? 0 : position - 1)), "' on: correct it"));
  }

  const std::string& refusal() const { return refusal_; }

 private:
  struct Level {
    std::set<std::string> keys;
    std::string key;  // The one that was heard last; empty in a list.
  };

  bool Enter() {
    levels_.emplace_back();
    return levels_.size() <= kMostLevels ||
           Refuse(StrCat(file_, ": has more than ", kMostLevels, " levels of brackets: take some out"));
  }
  bool Leave() {
    levels_.pop_back();
    return true;
  }
  bool Refuse(std::string sentence) {
    refusal_ = std::move(sentence);
    return false;
  }

  std::string Path() const {
    std::string path;
    for (const Level& level : levels_) {
      if (!level.key.empty()) StrAppend(&path, path.empty() ? "" : ".", Excerpt(level.key, kMostShown));
    }
    return path;
  }
  size_t LineAt(size_t position) const {
    const size_t end = std::min(position, text_.size());
    return 1 + static_cast<size_t>(std::count(text_.begin(), text_.begin() + static_cast<long>(end), '\n'));
  }

  std::string_view text_, file_;
  std::vector<Level> levels_;
  std::string refusal_;
};

}  // namespace

StatusOr<Json> ReadStrictJson(std::string_view text, const std::string& file) {
  if (text.size() > kMostBytes) {
    return absl::InvalidArgumentError(
        StrCat(file, ": has ", text.size(), " bytes, at most ", kMostBytes, " are read"));
  }
  Listener listener(text, file);
  if (!Json::sax_parse(text, &listener)) return absl::InvalidArgumentError(listener.refusal());
  Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object()) {
    return absl::InvalidArgumentError(
        StrCat(file, ": holds no mapping of keys: give DeepSpeed's JSON file, which begins with {"));
  }
  return root;
}

}  // namespace ft::recipe
