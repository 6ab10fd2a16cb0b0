#include "core/recipes/resolve.h"

#include <utility>

#include "core/recipe/parse.h"
#include "core/recipe/yaml_text.h"
#include "core/recipes/builtin_files.h"
#include "core/recipes/layers.h"

namespace ft::recipes {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBotName = "{bot_name}";
constexpr std::string_view kDataFolder = "data/";

// The text below a key; `otherwise` where there is none.
std::string TextAt(const Json& node, const char* key, const char* otherwise = "") {
  const auto found = node.find(key);
  return found == node.end() || !found->is_string() ? std::string(otherwise) : found->get<std::string>();
}

// `data` as a list of mappings, whichever way it was written.
void LengthenData(Json& job) {
  const auto data = job.find("data");
  if (data == job.end() || data->is_null()) return;
  if (!data->is_array()) *data = Json::array({*data});
  for (Json& source : *data) {
    if (source.is_string()) source = Json::object({{"source", source}});
    if (source.is_object() && source.contains("map") && source["map"].is_string()) {
      source["map"] = Json::object({{"kind", source["map"]}});
    }
  }
}

Status NoSuchSource(const std::string& name) {
  std::set<std::string> known;
  for (const BuiltinFile& file : BuiltinFiles()) {
    if (!file.path.starts_with(kDataFolder)) continue;
    known.insert(std::string(file.path.substr(kDataFolder.size(), file.path.find('.') - kDataFolder.size())));
  }
  const std::string near = recipe::Nearest(name, known);
  return absl::NotFoundError(
      StrCat("sources: there are no data called '", name, "'",
             near.empty() ? "; write files under data:" : StrCat(", did you mean '", near, "'?")));
}

// The named sources one after another.
Status ExpandSources(Json& job) {
  const auto sources = job.find("sources");
  if (sources == job.end()) return absl::OkStatus();
  Json data = Json::array();
  for (const Json& name : *sources) {
    const std::string path = StrCat(kDataFolder, name.get<std::string>(), ".yaml");
    if (FindBuiltin(path) == nullptr) return NoSuchSource(name.get<std::string>());
    ASSIGN_OR_RETURN(Json file, MergedBuiltin(path));
    data.push_back(std::move(file["data"]));
  }
  job.erase("sources");
  job["data"] = std::move(data);
  return absl::OkStatus();
}

// Takes a key out; null when it is not there.
Json Taken(Json& job, const char* key) {
  const auto found = job.find(key);
  if (found == job.end()) return nullptr;
  Json value = std::move(*found);
  job.erase(key);
  return value;
}

// Whether a template is put around the source's records: not around text, nor around records with markup of their own.
bool HasTemplate(const Json& source) {
  const std::string format = TextAt(source, "format");
  if (format == "text" || format == "tokens") return false;
  const auto map = source.find("map");
  return map == source.end() || !map->is_object() || TextAt(*map, "kind") != "moss_sft";
}

void GiveTemplate(const Json& name, Json& job) {
  if (!name.is_string() || !job.contains("data") || !job["data"].is_array()) return;
  for (Json& source : job["data"]) {
    if (source.is_object() && !source.contains("template") && HasTemplate(source)) source["template"] = name;
  }
}

void ReplaceAll(std::string_view what, const std::string& with, std::string& text) {
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

// Every {bot_name} below a key that may hold one.
Status NameTheBot(const Json& name, Json& node) {
  if (!node.is_structured()) return absl::OkStatus();
  for (auto& [key, value] : node.items()) {
    if (!value.is_string() || (key != "system" && key != "bot_name")) {
      RETURN_IF_ERROR(NameTheBot(name, value));
      continue;
    }
    auto& text = value.get_ref<std::string&>();
    if (text.find(kBotName) == std::string::npos) continue;
    if (!name.is_string()) {
      return absl::InvalidArgumentError(
          "bot_name: a text names {bot_name} and the recipe has none: give --set bot_name=NAME");
    }
    ReplaceAll(kBotName, name.get<std::string>(), text);
  }
  return absl::OkStatus();
}

int64_t NumberAt(const Json& job, const char* pointer, int64_t otherwise) {
  const Json::json_pointer at(pointer);
  return job.contains(at) && job[at].is_number_integer() ? job[at].get<int64_t>() : otherwise;
}

// Accumulation makes up for ranks that are not there, unless it is given.
Status KeepSequences(const Json& sequences, Json& job, std::vector<std::string>& remarks) {
  const auto train = job.find("train");
  const bool is_open =
      train != job.end() && train->is_object() && NumberAt(job, "/train/accumulation", 0) == 0;
  if (!sequences.is_number_integer() || !is_open) return absl::OkStatus();
  const int64_t ranks = NumberAt(job, "/parallel/ranks", 1), rows = NumberAt(job, "/train/micro_batch", 1);
  const int64_t wanted = sequences.get<int64_t>();
  if (ranks < 1 || rows < 1 || ranks > wanted || rows > wanted || wanted % (ranks * rows) != 0) {
    return absl::InvalidArgumentError(StrCat("parallel.ranks: ", ranks, " with train.micro_batch ", rows,
                                             " do not divide the recipe's ", wanted,
                                             " sequences a step; choose others, or set train.accumulation"));
  }
  const int64_t accumulation = wanted / (ranks * rows);
  (*train)["accumulation"] = accumulation;
  if (accumulation > 1) {
    remarks.push_back(StrCat("train.accumulation: ", accumulation, " keeps the recipe's ", wanted,
                             " sequences a step: ", rows, " at once on parallel.ranks: ", ranks));
  }
  return absl::OkStatus();
}

void DropNulls(Json& node) {
  if (!node.is_structured()) return;
  if (node.is_object()) {
    std::vector<std::string> nulls;
    for (const auto& [key, value] : node.items()) {
      if (value.is_null()) nulls.push_back(key);
    }
    for (const std::string& key : nulls) node.erase(key);
  }
  for (Json& child : node) DropNulls(child);
}

StatusOr<std::string> ConfigText(const Json& config, const FileReader& read) {
  if (!config.is_string()) return std::string();
  const auto& place = config.get_ref<const std::string&>();
  if (!place.starts_with(kBuiltin)) return read(place);
  const BuiltinFile* file = FindBuiltin(std::string_view(place).substr(kBuiltin.size()));
  if (file == nullptr) return absl::NotFoundError(StrCat("config: there is no file ", place));
  return std::string(file->text);
}

}  // namespace

bool StartsFromRecipe(const recipe::YamlTree& tree) {
  const auto found = tree.root.is_object() ? tree.root.find("recipe") : tree.root.end();
  return found != tree.root.end() && !found->is_null() && *found != "";
}

StatusOr<Resolved> Resolve(const JobText& job, const std::vector<std::string>& sets, const FileReader& read) {
  Resolved resolved;
  ASSIGN_OR_RETURN(resolved.job, MergedLayers(job, read));
  Json& tree = resolved.job;
  RETURN_IF_ERROR(ExpandSources(tree));
  LengthenData(tree);
  RETURN_IF_ERROR(recipe::Override(tree, sets));
  RETURN_IF_ERROR(CheckOverridden(tree, job.file_name));
  LengthenData(tree);
  for (const char* key : {"recipe", "obtain"}) tree.erase(key);
  GiveTemplate(Taken(tree, "template"), tree);
  RETURN_IF_ERROR(NameTheBot(Taken(tree, "bot_name"), tree));
  RETURN_IF_ERROR(KeepSequences(Taken(tree, "sequences_per_step"), tree, resolved.remarks));
  ASSIGN_OR_RETURN(resolved.model_config, ConfigText(Taken(tree, "config"), read));
  DropNulls(tree);
  return resolved;
}

std::string WhereToObtain(std::string_view source) {
  for (const BuiltinFile& file : BuiltinFiles()) {
    if (!file.path.starts_with(kDataFolder)) continue;
    const StatusOr<Json> tree = MergedBuiltin(std::string(file.path));
    if (!tree.ok() || TextAt(*tree->find("data"), "source") != source) continue;
    return TextAt(*tree, "obtain");
  }
  return "";
}

}  // namespace ft::recipes
