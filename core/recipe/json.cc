#include "core/recipe/json.h"

#include "core/recipe/parse.h"
#include "core/recipe/schema.h"

namespace ft::recipe {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 64;  // Values are printed level by level on the stack.

class Writer {
 public:
  explicit Writer(bool whole) : whole_(whole) {}

  template <typename T, typename Check>
  void operator()(const char* key, T& field, const Check&) {
    out_[key] = field;
  }
  void operator()(const char* key, std::string& field, const LaterOneOf& allowed) {
    if (whole_ || field != allowed.words.front()) out_[key] = field;
  }
  // A default that is no number of the range stands for a choice, and cannot be written.
  template <typename T>
  void operator()(const char* key, T& field, const LaterRange& range) {
    const bool is_shown = whole_ && range.usual >= range.low;
    if (is_shown || static_cast<double>(field) != range.usual) out_[key] = field;
  }
  template <typename T>
  void operator()(const char* key, T& field, const LaterAnything&) {
    if (whole_ || field != T{}) out_[key] = field;
  }
  template <typename T>
  void operator()(const char* key, T& field, const ChosenOrRange&) {
    if (whole_ || field != 0) out_[key] = field;
  }
  void Pair(const char* key, double a, double b, const Range&) { out_[key] = {a, b}; }
  template <typename T>
  void Object(const char* key, T& member) {
    Writer inner(whole_);
    Visit(inner, member);
    out_[key] = std::move(inner.out_);
  }
  void Model(const char* key, ModelSpec& model) { Object(key, model); }
  void Data(const char* key, std::vector<DataSource>& sources) {
    out_[key] = Json::array();
    for (DataSource& source : sources) {
      Writer inner(whole_);
      Visit(inner, source);
      out_[key].push_back(std::move(inner.out_));
    }
  }
  void Columns(const char* key, std::optional<ColumnMap>& map) {
    if (map) Object(key, *map);
  }
  void Bytes(const char* key, int64_t bytes) { out_[key] = bytes; }

  Json out_ = Json::object();

 private:
  bool whole_;
};

Json Written(const JobSpec& spec, bool whole) {
  JobSpec copy = spec;  // The schema visits mutable fields.
  Writer writer(whole);
  Visit(writer, copy);
  return std::move(writer.out_);
}

}  // namespace

std::string ToJson(const JobSpec& spec) {
  return Written(spec, /*whole=*/false).dump(2, ' ', false, Json::error_handler_t::replace);
}

Json ToWholeTree(const JobSpec& spec) { return Written(spec, /*whole=*/true); }

StatusOr<JobSpec> FromJson(std::string_view json) {
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  const Json root = Json::parse(json, watch, /*allow_exceptions=*/false);
  if (too_deep || root.is_discarded())
    return absl::InvalidArgumentError(
        StrCat("the resolved job is not JSON of at most ", kMaxDepth, " levels"));
  JobSpec spec;
  std::vector<Problem> problems;
  ReadTree(root, spec, problems);
  if (problems.empty()) return spec;
  std::string text;
  for (const Problem& problem : problems) {
    StrAppend(&text, text.empty() ? "" : "\n", problem.path, ": ", problem.message);
  }
  return absl::InvalidArgumentError(text);
}

}  // namespace ft::recipe
