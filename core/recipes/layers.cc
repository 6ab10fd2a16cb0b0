#include "core/recipes/layers.h"

#include <algorithm>
#include <utility>

#include "core/recipe/hub_source.h"
#include "core/recipe/parse.h"
#include "core/recipe/yaml_text.h"
#include "core/recipes/builtin_files.h"
#include "core/recipes/names.h"
#include "core/recipes/texts.h"

namespace ft::recipes {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using recipe::Problem;
using recipe::YamlTree;

constexpr size_t kMostLayers = 32;

// Where a file lies: in recipes/ of the program, in a folder, or nowhere (standard input, arguments).
struct Origin {
  std::string file_name;  // For messages.
  std::string identity;   // The same whoever names it.
  bool builtin = false;
  bool is_job = false;  // The file that everything is for: its paths are its caller's to read.
  bool has_lines = true;
  fs::path folder;
};

bool LooksLikeAPath(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.ends_with(".yaml") || text.ends_with(".yml") ||
         text.ends_with(".json");
}

// `{text: NAME}` below a key called system becomes the text.
void ReplaceTexts(Json& node, const std::string& path, std::vector<Problem>& problems) {
  if (node.is_array()) {
    for (size_t i = 0; i < node.size(); ++i) ReplaceTexts(node[i], StrCat(path, "[", i, "]"), problems);
  }
  if (!node.is_object()) return;
  for (auto& [key, value] : node.items()) {
    const std::string child = path.empty() ? key : StrCat(path, ".", key);
    const bool is_reference =
        key == "system" && value.is_object() && value.size() == 1 && value.contains("text");
    if (!is_reference) {
      ReplaceTexts(value, child, problems);
      continue;
    }
    const StatusOr<std::string> text = SystemText(recipe::ToYamlScalar(value["text"]));
    if (!text.ok()) problems.push_back({0, child, std::string(Message(text.status()))});
    value = text.ok() ? *text : "";
  }
}

void CheckText(const Json& root, const char* key, std::vector<Problem>& problems) {
  const auto found = root.find(key);
  if (found == root.end() || found->is_null() || found->is_string()) return;
  problems.push_back({0, key, "expects text"});
}

// The keys that only recipes have.
void CheckRecipeKeys(const Json& root, std::vector<Problem>& problems) {
  for (const char* key : {"recipe", "template", "bot_name", "config", "obtain"})
    CheckText(root, key, problems);
  if (const auto sources = root.find("sources"); sources != root.end()) {
    const bool is_list =
        sources->is_array() &&
        std::all_of(sources->begin(), sources->end(), [](const Json& item) { return item.is_string(); });
    if (!is_list) problems.push_back({0, "sources", "expects a list of names of data that recipes know"});
    if (root.contains("data")) problems.push_back({0, "sources", "stands beside data: give one of the two"});
  }
  const auto sequences = root.find("sequences_per_step");
  if (sequences == root.end() || sequences->is_null()) return;
  if (!sequences->is_number_integer() || *sequences < 1 || *sequences > 1'000'000) {
    problems.push_back({0, "sequences_per_step", "expects a whole number from 1 to 1000000"});
  }
}

// What is wrong with one file by itself.
Status CheckLayer(YamlTree tree, const Origin& origin) {
  Json job = tree.root;
  if (job.is_object()) {
    CheckRecipeKeys(tree.root, tree.problems);
    for (const std::string& key : RecipeKeys()) job.erase(key);
  }
  recipe::JobSpec scratch;
  recipe::ReadTree(job, scratch, tree.problems, RecipeKeys());
  if (tree.problems.empty()) return absl::OkStatus();
  return recipe::RefusalOf(std::move(tree), origin.file_name, origin.has_lines);
}

void MakeAbsolute(Json& node, const fs::path& folder) {
  if (node.is_string() && !recipe::IsRemoteSource(node.get_ref<const std::string&>()) &&
      !node.get_ref<const std::string&>().empty()) {
    node = (folder / node.get<std::string>()).lexically_normal().string();
  } else if (node.is_object() && node.contains("source")) {
    MakeAbsolute(node["source"], folder);
  }
}

// The files of train.evaluate and method.init_from. XTuner's benchmark by its name stays one that lies beside the job.
void RootOtherFiles(Json& root, const fs::path& folder) {
  const Json::json_pointer evaluate("/train/evaluate"), adapter("/method/init_from");
  if (root.contains(adapter)) MakeAbsolute(root[adapter], folder);
  if (!root.contains(evaluate) || !root[evaluate].is_object()) return;
  for (const char* key : {"sets", "prompt_files", "perplexity"}) {
    const auto files = root[evaluate].find(key);
    if (files == root[evaluate].end() || !files->is_array()) continue;
    for (Json& file : *files) {
      if (file != recipe::kMmluFiveShot) MakeAbsolute(file, folder);
    }
  }
}

// Paths of a file mean places beside it, whichever file starts from it.
void RootPaths(Json& root, const Origin& origin) {
  if (const auto config = root.find("config"); config != root.end() && config->is_string()) {
    if (origin.builtin) {
      *config = StrCat(kBuiltin, (origin.folder / config->get<std::string>()).lexically_normal().string());
    } else {
      MakeAbsolute(*config, origin.folder);
    }
  }
  if (origin.builtin || origin.is_job) return;
  RootOtherFiles(root, origin.folder);
  if (root.contains("model")) MakeAbsolute(root["model"], origin.folder);
  if (const auto parallel = root.find("parallel"); parallel != root.end() && parallel->is_object()) {
    const auto file = parallel->find("deepspeed");
    if (file != parallel->end() && file->is_string() && FindName(file->get<std::string>()) == nullptr)
      MakeAbsolute(*file, origin.folder);
  }
  if (!root.contains("data")) return;
  Json& data = root["data"];
  if (!data.is_array()) return MakeAbsolute(data, origin.folder);
  for (Json& source : data) MakeAbsolute(source, origin.folder);
}

// What may be written short, as the mapping that it is short for, so that keys can be merged into it.
Json Lengthened(const std::string& path, const Json& value) {
  if (!value.is_string()) return value;
  if (path == "model" || path == "data") return Json::object({{"source", value}});
  if (path == "data.map") return Json::object({{"kind", value}});
  return value;
}

void Merge(Json& into, const Json& differences, const std::string& above = "") {
  for (const auto& [key, given] : differences.items()) {
    const std::string path = above.empty() ? key : StrCat(above, ".", key);
    const Json value = Lengthened(path, given);
    if (!value.is_object()) {
      into[key] = value;
      continue;
    }
    if (!into.contains(key) || !into[key].is_object()) into[key] = Json::object();
    Merge(into[key], value, path);
  }
}

// Loads a file and those it starts from, deepest first.
class Loader {
 public:
  explicit Loader(const FileReader& read) : read_(read) {}

  Status Load(std::string_view text, const Origin& origin) {
    if (layers_.size() + open_.size() >= kMostLayers) {
      return absl::InvalidArgumentError(StrCat(origin.file_name, ": recipe: more than ", kMostLayers,
                                               " files start from each other; put some of them together"));
    }
    YamlTree tree = recipe::ReadYaml(text);
    if (!tree.problems.empty()) return recipe::RefusalOf(std::move(tree), origin.file_name, origin.has_lines);
    if (tree.root.is_object()) ReplaceTexts(tree.root, "", tree.problems);
    RETURN_IF_ERROR(CheckLayer(tree, origin));
    open_.push_back(origin.identity);
    if (const auto above = tree.root.find("recipe");
        above != tree.root.end() && above->is_string() && !above->get<std::string>().empty()) {
      const int line = tree.lines.contains("recipe") && origin.has_lines ? tree.lines["recipe"] : 0;
      const std::string place = line > 0 ? StrCat(origin.file_name, ":", line) : origin.file_name;
      RETURN_IF_ERROR(LoadAbove(above->get<std::string>(), origin, StrCat(place, ": recipe: ")));
    }
    open_.pop_back();
    RootPaths(tree.root, origin);
    layers_.push_back(std::move(tree.root));
    return absl::OkStatus();
  }

  Status LoadBuiltin(const std::string& path, const std::string& place) {
    const BuiltinFile* file = FindBuiltin(path);
    if (file == nullptr)
      return absl::NotFoundError(StrCat(place, "there is no file recipes/", path, " in this program"));
    return Load(file->text, {.file_name = StrCat("recipes/", path),
                             .identity = StrCat(kBuiltin, path),
                             .builtin = true,
                             .folder = fs::path(path).parent_path()});
  }

  StatusOr<Json> Merged() {
    Json merged = Json::object();
    for (const Json& layer : layers_) {
      if (layer.contains("data")) merged.erase("sources");
      if (layer.contains("sources")) merged.erase("data");
      Merge(merged, layer);
    }
    return merged;
  }

 private:
  Status LoadAbove(const std::string& name, const Origin& origin, const std::string& place) {
    if (origin.builtin) {
      return LoadBuiltin((origin.folder / name).lexically_normal().string(), place);
    }
    if (const Name* known = FindName(name); known != nullptr) return LoadNamed(*known, place);
    if (!LooksLikeAPath(name)) return WithPlace(place, NoSuchRecipe(name));
    const fs::path path = (origin.folder / name).lexically_normal();
    const std::string shown = path.string();
    if (std::find(open_.begin(), open_.end(), shown) != open_.end()) {
      std::string way;
      for (auto file = std::find(open_.begin(), open_.end(), shown); file != open_.end(); ++file)
        StrAppend(&way, *file, " -> ");
      return absl::InvalidArgumentError(
          StrCat(place, shown, " would start from itself: ", way, shown, "; take one of these out"));
    }
    const StatusOr<std::string> text = read_(path);
    if (!text.ok()) return WithPlace(place, text.status());
    return Load(*text, {.file_name = shown, .identity = shown, .folder = path.parent_path()});
  }

  Status LoadNamed(const Name& name, const std::string& place) {
    if (!name.is_training()) {
      return absl::InvalidArgumentError(
          StrCat(place, name.name, " is a ZeRO setting and no training recipe: give it with --deepspeed"));
    }
    RETURN_IF_ERROR(LoadBuiltin(StrCat("bases/", name.method, ".yaml"), place));
    RETURN_IF_ERROR(LoadBuiltin(StrCat("models/", name.model, ".yaml"), place));
    return LoadBuiltin(StrCat("tasks/", name.task, ".yaml"), place);
  }

  static Status WithPlace(const std::string& place, const Status& status) {
    return Status(status.code(), absl::StrCat(place, status.message()));
  }

  const FileReader& read_;
  std::vector<std::string> open_;  // Those being read, which must not be started from again.
  std::vector<Json> layers_;
};

}  // namespace

const std::set<std::string>& RecipeKeys() {
  static const std::set<std::string> kKeys = {
      "recipe", "sources", "template", "bot_name", "sequences_per_step", "config", "obtain"};
  return kKeys;
}

StatusOr<Json> MergedLayers(const JobText& job, const FileReader& read) {
  Loader loader(read);
  // By its path, so that a recipe that starts from the job file is seen to go in a circle.
  const fs::path path = job.folder / fs::path(job.file_name).filename();
  RETURN_IF_ERROR(loader.Load(job.yaml, {.file_name = job.file_name,
                                         .identity = path.lexically_normal().string(),
                                         .is_job = true,
                                         .has_lines = job.has_lines,
                                         .folder = job.folder}));
  return loader.Merged();
}

Status CheckOverridden(const Json& tree, const std::string& file_name) {
  YamlTree checked{.root = tree};
  CheckRecipeKeys(tree, checked.problems);
  if (checked.problems.empty()) return absl::OkStatus();
  return recipe::RefusalOf(std::move(checked), file_name + " with --set", /*with_lines=*/false);
}

StatusOr<Json> MergedBuiltin(const std::string& path) {
  static const FileReader kNoFiles = [](const fs::path& file) -> StatusOr<std::string> {
    return absl::NotFoundError(StrCat("there is no file ", file.string()));
  };
  Loader loader(kNoFiles);
  RETURN_IF_ERROR(loader.LoadBuiltin(path, ""));
  return loader.Merged();
}

}  // namespace ft::recipes
