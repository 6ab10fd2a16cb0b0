#include "core/recipe/parse.h"
#include "core/base/excerpt.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "core/recipe/hub_source.h"
#include "core/recipe/schema.h"
#include "core/recipe/sharding.h"

namespace ft::recipe {
namespace {

using Json = nlohmann::ordered_json;

// Edits (insert, delete, replace) between two short words; for "did you mean".
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replace});
    }
  }
  return row[b.size()];
}

std::string Shown(const Json& value) {
  return Excerpt(value.dump(-1, ' ', false, Json::error_handler_t::replace), 57);
}

std::string PlaceOf(std::string_view key);

// Fills one object's fields; remembers which keys it knows.
class Reader {
 public:
  Reader(const Json& object, std::string path, std::vector<Problem>& problems,
         std::set<std::string> known = {})
      : object_(object), path_(std::move(path)), problems_(problems), known_(std::move(known)) {}

  template <typename T, typename Check>
  void operator()(const char* key, T& field, const Check& check) {
    const Json* value = Take(key);
    if (value == nullptr) return;
    T read{};
    if (!Convert(*value, read)) {
      return Complain(key, StrCat("expects ", Expected(field), ", got ", Shown(*value)));
    }
    if (Verify(key, read, check)) field = std::move(read);
  }

  void Pair(const char* key, double& first, double& second, const Range& range) {
    const Json* value = Take(key);
    if (value == nullptr) return;
    double a = 0, b = 0;
    if (!value->is_array() || value->size() != 2 || !Convert((*value)[0], a) || !Convert((*value)[1], b)) {
      return Complain(key, StrCat("expects a list of two numbers, got ", Shown(*value)));
    }
    if (Verify(key, a, range) && Verify(key, b, range)) {
      first = a;
      second = b;
    }
  }

  template <typename T>
  void Object(const char* key, T& member) {
    if (const Json* value = Take(key)) ReadObject(*value, Path(key), member);
  }

  void Model(const char* key, ModelSpec& model) {
    const Json* value = Take(key);
    if (value == nullptr) return;
    if (value->is_string()) {
      model.source = value->get<std::string>();
    } else {
      ReadObject(*value, Path(key), model);
    }
  }

  void Data(const char* key, std::vector<DataSource>& sources) {
    const Json* value = Take(key);
    if (value == nullptr) return;
    const Json list = value->is_array() ? *value : Json::array({*value});
    sources.clear();
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string path = value->is_array() ? StrCat(Path(key), "[", i, "]") : Path(key);
      DataSource& source = sources.emplace_back();
      if (list[i].is_string()) {
        source.source = list[i].get<std::string>();
      } else {
        ReadObject(list[i], path, source);
      }
      if (source.source.empty()) problems_.push_back({0, path, "has no 'source': give the path of the data"});
    }
  }

  void Columns(const char* key, std::optional<ColumnMap>& map) {
    const Json* value = Take(key);
    if (value == nullptr) return;
    map.emplace();
    if (!value->is_object() && !value->is_string()) {
      return Complain(key,
                      StrCat("expects {system, input, output} or the name of a map, got ", Shown(*value)));
    }
    const Json mapping = value->is_string() ? Json::object({{"kind", *value}}) : *value;
    Reader inner(mapping, Path(key), problems_);
    Visit(inner, *map);
    inner.Finish();
  }

  void Bytes(const char* key, int64_t& bytes) {
    const Json* value = Take(key);
    if (value == nullptr) return;
    if (value->is_number_integer() && value->get<int64_t>() >= 0) {
      bytes = value->get<int64_t>();
    } else if (!value->is_string() || !ParseBytes(value->get<std::string>(), bytes)) {
      Complain(key, StrCat("expects a size such as 20GiB or a number of bytes, got ", Shown(*value)));
    }
  }

  // Reports keys that nothing took.
  void Finish() {
    for (const auto& [key, value] : object_.items()) {
      if (known_.contains(key)) continue;
      std::string near = path_.empty() ? PlaceOf(key) : std::string();
      if (near.empty()) near = Nearest(key, known_);
      Complain(key,
               near.empty() ? std::string("unknown key") : StrCat("unknown key, did you mean '", near, "'?"));
    }
  }

 private:
  static bool ParseBytes(const std::string& text, int64_t& bytes) {
    double number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || number < 0) return false;
    const std::string_view unit(end, text.data() + text.size() - end);
    static constexpr std::pair<std::string_view, double> kUnits[] = {
        {"B", 1},    {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0},
        {"KB", 1e3}, {"MB", 1e6},     {"GB", 1e9},        {"TB", 1e12}};
    for (const auto& [name, scale] : kUnits) {
      if (unit == name && number * scale < 9e18) {
        bytes = static_cast<int64_t>(number * scale);
        return true;
      }
    }
    return false;
  }

  template <typename T>
  void ReadObject(const Json& value, const std::string& path, T& member) {
    if (!value.is_object()) {
      problems_.push_back({0, path, StrCat("expects a mapping of keys, got ", Shown(value))});
      return;
    }
    Reader inner(value, path, problems_);
    Visit(inner, member);
    inner.Finish();
  }

  const Json* Take(const char* key) {
    known_.insert(key);
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  std::string Path(std::string_view key) const {
    return path_.empty() ? std::string(key) : StrCat(path_, ".", key);
  }
  void Complain(std::string_view key, std::string message) {
    problems_.push_back({0, Path(key), std::move(message)});
  }

  static bool Convert(const Json& value, std::string& out) {
    if (value.is_string())
      out = value.get<std::string>();
    else if (value.is_number() || value.is_boolean())
      out = value.dump();
    else
      return false;
    return true;
  }
  static bool Convert(const Json& value, bool& out) {
    if (!value.is_boolean()) return false;
    out = value.get<bool>();
    return true;
  }
  static bool Convert(const Json& value, double& out) {
    if (!value.is_number()) return false;
    out = value.get<double>();
    return std::isfinite(out);
  }
  template <std::integral T>
  static bool Convert(const Json& value, T& out) {
    if (value.is_number_float()) {
      const double number = value.get<double>();
      if (number != std::floor(number) || std::abs(number) > 9e15) return false;
      out = static_cast<T>(number);
      return static_cast<double>(out) == number;
    }
    if (value.is_number_unsigned()) {
      const uint64_t number = value.get<uint64_t>();
      out = static_cast<T>(number);
      return static_cast<uint64_t>(out) == number && out >= 0;
    }
    if (!value.is_number_integer()) return false;
    const int64_t number = value.get<int64_t>();
    if (std::is_unsigned_v<T> && number < 0) return false;
    out = static_cast<T>(number);
    return static_cast<int64_t>(out) == number;
  }
  static bool Convert(const Json& value, std::vector<std::string>& out) {
    if (value.is_string()) {
      out = {value.get<std::string>()};
      return true;
    }
    if (!value.is_array()) return false;
    for (const Json& item : value) {
      if (!Convert(item, out.emplace_back())) return false;
    }
    return true;
  }
  template <typename T>
  static bool Convert(const Json& value, std::map<std::string, T>& out) {
    if (!value.is_object()) return false;
    for (const auto& [key, item] : value.items()) {
      if (!Convert(item, out[key])) return false;
    }
    return true;
  }

  static std::string_view Expected(const std::string&) { return "text"; }
  static std::string_view Expected(bool) { return "true or false"; }
  static std::string_view Expected(double) { return "a number"; }
  static std::string_view Expected(int) { return "a whole number"; }
  static std::string_view Expected(int64_t) { return "a whole number"; }
  static std::string_view Expected(uint64_t) { return "a whole number from 0 on"; }
  static std::string_view Expected(const std::vector<std::string>&) { return "a list of texts"; }
  static std::string_view Expected(const std::map<std::string, std::string>&) { return "a mapping of texts"; }
  static std::string_view Expected(const std::map<std::string, int>&) {
    return "a mapping of names to whole numbers";
  }
  static std::string_view Expected(const std::map<std::string, double>&) {
    return "a mapping of names to numbers";
  }

  template <typename T>
  bool Verify(const char*, const T&, const Anything&) {
    return true;
  }
  template <typename T>
  bool Verify(const char* key, const T& value, const Range& range) {
    if (value >= range.low && value <= range.high) return true;
    Complain(key, StrCat(value, " is not between ", range.low, " and ", range.high));
    return false;
  }
  template <typename T>
  bool Verify(const char* key, const T& value, const ChosenOrRange& range) {
    return value == 0 || Verify(key, value, static_cast<const Range&>(range));
  }
  bool Verify(const char* key, const std::string& value, const OneOf& allowed) {
    if (std::find(allowed.words.begin(), allowed.words.end(), value) != allowed.words.end()) return true;
    std::string list;
    for (std::string_view word : allowed.words) StrAppend(&list, list.empty() ? "" : ", ", word);
    Complain(key, StrCat("'", value, "' is none of: ", list));
    return false;
  }

  const Json& object_;
  std::string path_;
  std::vector<Problem>& problems_;
  std::set<std::string> known_;
};

// The line of a path, or of the nearest parent that has one.
int LineOf(const YamlTree& tree, std::string path) {
  while (true) {
    if (const auto found = tree.lines.find(path); found != tree.lines.end()) return found->second;
    const size_t cut = path.find_last_of(".[");
    if (cut == std::string::npos) return 0;
    path.resize(cut);
  }
}

}  // namespace

Status RefusalOf(YamlTree tree, std::string_view file_name, bool with_lines) {
  std::vector<Problem>& problems = tree.problems;
  for (Problem& problem : problems) {
    if (problem.line == 0) problem.line = LineOf(tree, problem.path);
  }
  std::stable_sort(problems.begin(), problems.end(),
                   [](const Problem& a, const Problem& b) { return a.line < b.line; });
  std::string text;
  for (const Problem& problem : problems) {
    StrAppend(&text, text.empty() ? "" : "\n", file_name);
    if (problem.line > 0 && with_lines) StrAppend(&text, ":", problem.line);
    StrAppend(&text, ": ");
    if (!problem.path.empty()) StrAppend(&text, problem.path, ": ");
    StrAppend(&text, problem.message);
  }
  return absl::InvalidArgumentError(text);
}

namespace {

// "data[1]" is key data and index 1; no index without brackets, and none for brackets that hold no small number.
std::pair<std::string, std::optional<size_t>> KeyAndIndex(const std::string& part) {
  const size_t open = part.find('[');
  if (open == std::string::npos || part.back() != ']') return {part, std::nullopt};
  size_t index = 0;
  const char* end = part.data() + part.size() - 1;
  const auto [stop, error] = std::from_chars(part.data() + open + 1, end, index);
  if (error != std::errc() || stop != end) return {part, std::nullopt};
  return {part.substr(0, open), index};
}

// The entry of `data` that is meant: by its number, or the only one. A plain path becomes a mapping that holds it, as it
// does of a model, so that keys can stand beside it.
StatusOr<Json*> EntryOf(Json* node, std::optional<size_t> index, const std::string& path) {
  if (node->is_array()) {
    if (!index.has_value() && node->size() != 1) {
      return absl::InvalidArgumentError(StrCat("--set ", path, ": there are ", node->size(),
                                               " sources: write which is meant, e.g. data[0]"));
    }
    if (index.value_or(0) >= node->size()) {
      return absl::InvalidArgumentError(
          StrCat("--set ", path, ": there are only ", node->size(), " sources, from [0] on"));
    }
    node = &(*node)[index.value_or(0)];
  } else if (index.value_or(0) != 0) {
    return absl::InvalidArgumentError(StrCat("--set ", path, ": there is only one source, [0]"));
  }
  if (node->is_string()) *node = Json::object({{"source", *node}});
  return node;
}

// Puts `value` at a dotted path, making mappings on the way.
Status Assign(Json& root, const std::string& path, const Json& value) {
  Json* node = &root;
  size_t begin = 0;
  while (true) {
    const size_t dot = path.find('.', begin);
    const auto [key, index] = KeyAndIndex(path.substr(begin, dot - begin));
    if (key.empty() || !(node->is_object() || node->is_null())) {
      return absl::InvalidArgumentError(
          StrCat("--set ", path, ": '", path.substr(0, begin == 0 ? 0 : begin - 1), "' holds no keys"));
    }
    node = &(*node)[key];
    const bool is_source = begin == 0 && (key == "data" || key == "model");
    if (is_source && (index.has_value() || dot != std::string::npos)) {
      ASSIGN_OR_RETURN(node, EntryOf(node, index, path));
    } else if (index.has_value()) {
      return absl::InvalidArgumentError(
          StrCat("--set ", path, ": only entries of data have numbers, e.g. data[0].map"));
    }
    if (dot == std::string::npos) break;
    begin = dot + 1;
  }
  *node = value;
  return absl::OkStatus();
}

// Every key of the job file with the keys above it, for keys that were written without those.
class PathCollector {
 public:
  template <typename T, typename Check>
  void operator()(const char* key, T&, const Check&) {
    Add(key);
  }
  void Pair(const char* key, double&, double&, const Range&) { Add(key); }
  template <typename T>
  void Object(const char* key, T& member) {
    Add(key);
    const std::string above = std::exchange(path_, path_ + key + ".");
    Visit(*this, member);
    path_ = above;
  }
  void Model(const char* key, ModelSpec& model) { Object(key, model); }
  void Data(const char* key, std::vector<DataSource>&) {
    DataSource source;
    Object(key, source);
  }
  void Columns(const char* key, std::optional<ColumnMap>&) { Add(key); }
  void Bytes(const char* key, int64_t&) { Add(key); }

  std::vector<std::pair<std::string, std::string>> paths;  // The key alone, and with what is above it.

 private:
  void Add(const char* key) { paths.emplace_back(key, path_ + key); }
  std::string path_;
};

// Where a key that is unknown at the top belongs, e.g. train.epochs for epochs; empty when nowhere.
std::string PlaceOf(std::string_view key) {
  JobSpec spec;
  PathCollector collector;
  Visit(collector, spec);
  std::string found;
  for (const auto& [name, path] : collector.paths) {
    if (name != key) continue;
    if (!found.empty()) StrAppend(&found, "' or '");
    StrAppend(&found, path);
  }
  return found;
}

}  // namespace

std::string Nearest(std::string_view word, const std::set<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::vector<std::string> NearestOf(std::string_view word, std::vector<std::string> known, size_t count) {
  constexpr size_t kLongest = 128;  // More tells nothing apart, and costs as many comparisons.
  word = word.substr(0, kLongest);
  std::vector<std::pair<size_t, std::string>> ranked;
  for (std::string& candidate : known) {
    const size_t distance = EditDistance(word, candidate);
    ranked.emplace_back(distance, std::move(candidate));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> nearest;
  for (size_t i = 0; i < std::min(count, ranked.size()); ++i) nearest.push_back(std::move(ranked[i].second));
  return nearest;
}

void ReadTree(const Json& root, JobSpec& spec, std::vector<Problem>& problems,
              const std::set<std::string>& also_known) {
  if (!root.is_object()) {
    problems.push_back({0, "", "a job file is a mapping of keys such as 'model:' and 'data:'"});
    return;
  }
  Reader reader(root, "", problems, also_known);
  Visit(reader, spec);
  reader.Finish();
}

std::string WrongWithName(std::string_view name) {
  const bool control = std::any_of(name.begin(), name.end(),
                                   [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (control) return "holds a line end, a tab or another control character; write it without";
  if (name.find('/') != std::string_view::npos)
    return StrCat("'", name, "' holds a '/', which paths have and names of jobs have not; give another name");
  if (name == "." || name == "..")
    return StrCat("'", name, "' is a folder and no name for a job; give another name");
  if (name.starts_with("-"))
    return StrCat("'", name, "' begins with '-' and would be taken for an option; give another name");
  return "";
}

namespace {

void CheckSource(const std::string& key, const DataSource& source, std::vector<Problem>& problems) {
  if (source.choose == "random" && source.max_records == 0) {
    problems.push_back({0, key + ".choose", "random needs max_records, the number of records to choose"});
  }
  if (!source.map) return;
  const bool is_moss = source.map->kind == "moss_sft";
  if (!source.map->bot_name.empty() && !is_moss) {
    problems.push_back({0, key + ".map.bot_name", "is of kind: moss_sft only; take it out"});
  }
  if (source.map->kind != "columns" && !(source.map->input.empty() && source.map->output.empty())) {
    problems.push_back({0, key + ".map",
                        StrCat("kind ", source.map->kind,
                               " has columns of its own: take input and output out, "
                               "or the kind")});
  }
}

// Keys that say what kind of adapter is trained, and that are written.
std::vector<std::string> AdapterKindKeys(const MethodSpec& method) {
  std::vector<std::string> keys;
  const auto add = [&](const char* key, bool written) {
    if (written) keys.push_back(StrCat("method.", key));
  };
  add("use_rslora", method.use_rslora);
  add("use_dora", method.use_dora);
  add("rank_pattern", !method.rank_pattern.empty());
  add("alpha_pattern", !method.alpha_pattern.empty());
  add("modules_to_save", !method.modules_to_save.empty());
  return keys;
}

void CheckMethod(const JobSpec& spec, std::vector<Problem>& problems) {
  const MethodSpec& method = spec.method;
  const auto complain = [&](std::string path, std::string message) {
    problems.push_back({0, std::move(path), std::move(message)});
  };
  if (method.targets.empty()) complain("method.targets", "is empty: name layers or 'all_linear'");
  for (const auto& [name, rank] : method.rank_pattern) {
    if (rank < 1 || rank > 1024)
      complain("method.rank_pattern", StrCat(name, ": ", rank, " is not between 1 and 1024"));
  }
  for (const auto& [name, alpha] : method.alpha_pattern) {
    if (!(alpha >= 0.001 && alpha <= 65536))
      complain("method.alpha_pattern", StrCat(name, ": ", alpha, " is not between 0.001 and 65536"));
  }
  std::vector<std::string> kind = AdapterKindKeys(method);
  if (method.kind == "full") {
    if (method.adapter_compute != "auto") kind.push_back("method.adapter_compute");
    if (!method.init_from.empty()) kind.push_back("method.init_from");
    if (spec.train.optimizer.loraplus_lr_ratio > 0) kind.push_back("train.optimizer.loraplus_lr_ratio");
    for (const std::string& key : kind) complain(key, "has no meaning for method full");
  } else if (!method.init_from.empty()) {
    if (method.rank != 0) kind.push_back("method.rank");
    if (method.alpha != 0) kind.push_back("method.alpha");
    if (method.targets != MethodSpec().targets) kind.push_back("method.targets");
    for (const std::string& key : kind)
      complain(key, "stands beside method.init_from, and is what that adapter has: leave it out");
  }
}

void CheckEvaluation(const EvaluateSpec& evaluate, std::vector<Problem>& problems) {
  const auto complain = [&](std::string path, std::string message) {
    problems.push_back({0, std::move(path), std::move(message)});
  };
  if (evaluate.every_steps > 0 && evaluate.every_micro_batches > 0) {
    complain("train.evaluate.every_micro_batches", "stands beside every_steps: give one of the two");
  }
  for (const std::string& set : evaluate.sets) {
    if (set != kMmluFiveShot && !set.ends_with(".json"))
      complain("train.evaluate.sets", StrCat("there is no benchmark '", Excerpt(set), "': give ",
                                             kMmluFiveShot, ", or a .json file of such questions"));
  }
  for (const auto& [key, files] : {std::pair("train.evaluate.prompt_files", &evaluate.prompt_files),
                                   std::pair("train.evaluate.perplexity", &evaluate.perplexity)}) {
    if (files->size() > kMaxEvaluationFiles)
      complain(key,
               StrCat("names ", files->size(), " files, and at most ", kMaxEvaluationFiles, " are read"));
    for (const std::string& file : *files) {
      if (file.empty()) complain(key, "names a file without a name");
      if (IsHubSource(file))
        complain(key, StrCat("'", Excerpt(file, 57), "' lies on a hub: download it and give its path"));
    }
  }
}

// A key that is not written has the value that XTuner's habits ask for.
void ApplyCompat(const Json& root, JobSpec& spec) {
  const auto found = root.find("compat");
  if (found == root.end() || *found != "xtuner-0.1.9") return;
  spec.train.loss = "microbatch_mean";
  spec.train.tokenize = "pieces";
  spec.train.schedule.by = "micro_batch";
  spec.train.on_nonfinite = "skip";
}

// parallel.deepspeed gives way to what it means. Stage 0 without offload, which every job says that was shown, stands in no name's way.
void ExpandDeepspeed(ParallelSpec& parallel, std::vector<Problem>& problems) {
  const std::string name = std::exchange(parallel.deepspeed, "");
  if (name.empty()) return;
  if (parallel.zero != 0 || parallel.offload.optimizer != "none" || parallel.offload.parameters != "none") {
    problems.push_back({0, "parallel.deepspeed", "stands beside zero or offload: give one of the two"});
  } else if (!TakeDeepspeedName(name, parallel)) {
    problems.push_back({0, "parallel.deepspeed",
                        StrCat("'", Excerpt(name, 57), "' is none of: ", DeepspeedNames(),
                               " (a file of DeepSpeed's own is read by ftctl, which sends what it sets)")});
  }
}

}  // namespace

void CheckWhole(const JobSpec& spec, std::vector<Problem>& problems) {
  const auto complain = [&](std::string path, std::string message) {
    problems.push_back({0, std::move(path), std::move(message)});
  };
  if (const std::string wrong = WrongWithName(spec.name); !wrong.empty()) complain("name", wrong);
  if (spec.model.source.empty()) complain("model", "is missing: give a model folder or a .gguf file");
  if (spec.data.empty()) complain("data", "is missing: give a file with training data");
  CheckMethod(spec, problems);
  const int max_ranks = MaxRanks(spec.parallel);
  const auto power_of_two = [](int n) { return (n & (n - 1)) == 0; };
  if (!power_of_two(spec.parallel.ranks) || !power_of_two(max_ranks) || spec.parallel.ranks > max_ranks) {
    complain("parallel.ranks", StrCat("ranks(", spec.parallel.ranks, ") and max_ranks(", max_ranks,
                                      ") must be powers of two, ranks at most max_ranks"));
  }
  if (!power_of_two(spec.parallel.min_ranks) || spec.parallel.min_ranks > max_ranks) {
    complain("parallel.min_ranks", StrCat("min_ranks(", spec.parallel.min_ranks,
                                          ") must be a power of two, at most max_ranks(", max_ranks, ")"));
  }
  if (spec.train.optimizer.kind == "sgd" && spec.train.optimizer.lr == 0) {
    complain("train.optimizer.lr", "is missing: rates are chosen for AdamW only, give the one of sgd");
  }
  if (std::exp2(std::round(std::log2(spec.train.loss_scale.initial))) != spec.train.loss_scale.initial) {
    complain("train.loss_scale.initial", StrCat(spec.train.loss_scale.initial, " is not a power of two"));
  }
  if (spec.train.packed_length > 0 && spec.train.packed_length < spec.train.max_length) {
    complain("train.packed_length",
             StrCat(spec.train.packed_length, " is less than train.max_length ", spec.train.max_length,
                    ": a row holds whole samples; leave it out to have it chosen"));
  }
  CheckEvaluation(spec.train.evaluate, problems);
  for (size_t i = 0; i < spec.data.size(); ++i) CheckSource(StrCat("data[", i, "]"), spec.data[i], problems);
}

StatusOr<JobSpec> ParseJob(std::string_view yaml, std::string_view file_name, bool with_lines) {
  return ParseTree(ReadYaml(yaml), file_name, with_lines);
}

StatusOr<JobSpec> ParseTree(YamlTree tree, std::string_view file_name, bool with_lines) {
  JobSpec spec;
  if (tree.problems.empty()) {
    if (tree.root.is_object()) ApplyCompat(tree.root, spec);
    ReadTree(tree.root, spec, tree.problems);
    if (tree.problems.empty()) ExpandDeepspeed(spec.parallel, tree.problems);
    if (tree.root.is_object()) CheckWhole(spec, tree.problems);
  }
  if (!tree.problems.empty()) return RefusalOf(std::move(tree), file_name, with_lines);
  return spec;
}

StatusOr<std::string> WithOverrides(std::string_view yaml, const std::vector<std::string>& assignments) {
  if (assignments.empty()) return std::string(yaml);
  YamlTree tree = ReadYaml(yaml);
  if (!tree.problems.empty()) return RefusalOf(std::move(tree), "job file");
  RETURN_IF_ERROR(Override(tree.root, assignments));
  return tree.root.dump(2, ' ', false, Json::error_handler_t::replace);
}

Status Override(Json& root, const std::vector<std::string>& assignments) {
  for (const std::string& assignment : assignments) {
    const size_t equals = assignment.find('=');
    if (equals == std::string::npos || equals == 0) {
      return absl::InvalidArgumentError(
          StrCat("--set ", assignment, ": write KEY=VALUE, e.g. train.epochs=2"));
    }
    YamlTree value = ReadYaml(assignment.substr(equals + 1));
    if (!value.problems.empty()) {
      return absl::InvalidArgumentError(StrCat("--set ", assignment, ": ", value.problems[0].message));
    }
    RETURN_IF_ERROR(Assign(root, assignment.substr(0, equals), value.root));
  }
  return absl::OkStatus();
}

}  // namespace ft::recipe
