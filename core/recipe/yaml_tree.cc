#include "core/recipe/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <set>
#include <sstream>

#include "core/base/str_cat.h"

namespace ft::recipe {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxBytes = 1 << 20;
constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxNodes = 100'000;
constexpr size_t kMaxKeys = 4096;  // Keys of one map: they are compared one by one.
constexpr size_t kMaxPathBytes =
    16 << 20;  // Bytes of all values' paths together: below a long key, every value's path is long.

struct StopReading {};  // Thrown through yaml-cpp only, caught in ReadYaml.

Json PlainScalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null") return nullptr;
  if (text == "true") return true;
  if (text == "false") return false;
  const char* begin = text.data() + (text[0] == '+' ? 1 : 0);
  const char* end = text.data() + text.size();
  int64_t integer = 0;
  if (auto [p, error] = std::from_chars(begin, end, integer); error == std::errc() && p == end)
    return integer;
  double number = 0;
  if (auto [p, error] = std::from_chars(begin, end, number); error == std::errc() && p == end) return number;
  return text;
}

// Builds the tree from yaml-cpp's events, refusing what the job file does not have.
class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(YamlTree& tree) : tree_(tree) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { Scalar(mark, anchor, nullptr, ""); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    Stop(mark, "aliases (*name) are not allowed: write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (tag != "?" && tag != "!" && !tag.empty()) Stop(mark, StrCat("tags (", tag, ") are not allowed"));
    Scalar(mark, anchor, tag == "!" ? Json(value) : PlainScalar(value), value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, anchor, Json::array());
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, anchor, Json::object());
  }
  void OnMapEnd() override { Close(); }

 private:
  struct Level {
    Json value;
    std::string path;
    std::string key;  // Key of the entry being read, in a map.
    bool has_key = false;
  };

  [[noreturn]] void Stop(const YAML::Mark& mark, std::string message) {
    tree_.problems.push_back({mark.line + 1, levels_.empty() ? "" : levels_.back().path, std::move(message)});
    throw StopReading();
  }

  void Count(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != 0) Stop(mark, "anchors (&name) are not allowed: write the value out");
    if (++nodes_ > kMaxNodes) Stop(mark, StrCat("more than ", kMaxNodes, " values"));
  }

  std::string ChildPath() const {
    if (levels_.empty()) return "";
    const Level& top = levels_.back();
    if (top.value.is_array()) return StrCat(top.path, "[", top.value.size(), "]");
    return top.path.empty() ? top.key : StrCat(top.path, ".", top.key);
  }

  // Remembers where the value that begins here stands, and answers its path.
  std::string NoteLine(const YAML::Mark& mark) {
    std::string path = ChildPath();
    path_bytes_ += path.size();
    if (path_bytes_ > kMaxPathBytes) Stop(mark, "keys too long for so many values below them");
    tree_.lines[path] = mark.line + 1;
    return path;
  }

  bool ExpectsKey() const {
    return !levels_.empty() && levels_.back().value.is_object() && !levels_.back().has_key;
  }

  void Scalar(const YAML::Mark& mark, YAML::anchor_t anchor, Json value, const std::string& text) {
    Count(mark, anchor);
    if (ExpectsKey()) {
      Level& top = levels_.back();
      if (top.value.size() == kMaxKeys) Stop(mark, StrCat("more than ", kMaxKeys, " keys in one place"));
      if (top.value.contains(text)) Stop(mark, StrCat("key '", text, "' appears twice"));
      top.key = text;
      top.has_key = true;
      return;
    }
    NoteLine(mark);
    Add(std::move(value));
  }

  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, Json value) {
    Count(mark, anchor);
    if (ExpectsKey()) Stop(mark, "a key must be a plain word");
    if (levels_.size() >= kMaxDepth) Stop(mark, StrCat("more than ", kMaxDepth, " levels"));
    std::string path = NoteLine(mark);
    levels_.push_back({std::move(value), std::move(path), "", false});
  }

  void Close() {
    Json value = std::move(levels_.back().value);
    levels_.pop_back();
    Add(std::move(value));
  }

  void Add(Json value) {
    if (levels_.empty()) {
      tree_.root = std::move(value);
      return;
    }
    Level& top = levels_.back();
    if (top.value.is_array()) {
      top.value.push_back(std::move(value));
    } else {
      top.value[top.key] = std::move(value);
      top.has_key = false;
    }
  }

  YamlTree& tree_;
  std::vector<Level> levels_;
  size_t nodes_ = 0;
  size_t path_bytes_ = 0;
};

}  // namespace

YamlTree ReadYaml(std::string_view text) {
  YamlTree tree;
  if (text.size() > kMaxBytes) {
    tree.problems.push_back({0, "", StrCat(text.size(), " bytes, at most ", kMaxBytes, " are read")});
    return tree;
  }
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    TreeBuilder builder(tree);
    parser.HandleNextDocument(builder);
    const Json root = tree.root;
    if (parser.HandleNextDocument(builder))
      tree.problems.push_back({0, "", "more than one document in the file"});
    tree.root = root;
  } catch (const StopReading&) {
    tree.root = nullptr;
  } catch (const YAML::Exception& error) {
    tree.root = nullptr;
    tree.problems.push_back({error.mark.line + 1, "", StrCat("not YAML: ", error.msg)});
  }
  return tree;
}

}  // namespace ft::recipe
