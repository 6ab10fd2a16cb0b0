#include "client/job/job_file.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

#include "client/job/deepspeed_file.h"
#include "client/job/model_config.h"
#include "core/base/file.h"
#include "core/recipe/hub_source.h"
#include "core/recipe/parse.h"
#include "core/recipe/supported.h"
#include "core/recipe/yaml_tree.h"
#include "core/recipes/names.h"
#include "core/recipes/resolve.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxJobFileBytes = 1 << 20;

StatusOr<std::string> ReadStandardInput() {
  std::string text;
  char buffer[16384];
  while (true) {
    const ssize_t got = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus("read", "standard input", errno);
    if (got == 0) return text;
    text.append(buffer, static_cast<size_t>(got));
    if (text.size() > kMaxJobFileBytes) {
      return absl::InvalidArgumentError(
          StrCat("standard input is longer than a job file may be (", kMaxJobFileBytes, " bytes)"));
    }
  }
}

Status RewriteOne(Json& node, const Source& source, const SourceRewriter& rewrite, bool& changed) {
  ASSIGN_OR_RETURN(std::string value, rewrite(source));
  if (value == source.value) return absl::OkStatus();
  node = std::move(value);
  changed = true;
  return absl::OkStatus();
}

// A source is a plain string or the `source` of a mapping; anything else is for the parser to complain about.
Status RewriteNode(Json& node, SourceKind kind, const std::string& key, const SourceRewriter& rewrite,
                   bool& changed) {
  if (node.is_string()) return RewriteOne(node, {kind, key, node.get<std::string>()}, rewrite, changed);
  if (!node.is_object()) return absl::OkStatus();
  const auto found = node.find("source");
  if (found == node.end() || !found->is_string()) return absl::OkStatus();
  return RewriteOne(*found, {kind, StrCat(key, ".source"), found->get<std::string>()}, rewrite, changed);
}

// The benchmarks, by name or by file.
Status RewriteSets(Json& job, const SourceRewriter& rewrite, bool& changed) {
  const Json::json_pointer at("/train/evaluate/sets");
  if (!job.contains(at) || !job[at].is_array()) return absl::OkStatus();
  for (Json& set : job[at]) {
    if (!set.is_string()) continue;
    if (set == recipe::kMmluFiveShot) {
      set = recipe::kMmluFiveShotFile;
      changed = true;
    }
    RETURN_IF_ERROR(RewriteNode(set, SourceKind::kBenchmark, "train.evaluate.sets", rewrite, changed));
  }
  return absl::OkStatus();
}

// Files that are read while a job is evaluated.
Status RewriteFiles(Json& job, const std::string& key, const SourceRewriter& rewrite, bool& changed) {
  const Json::json_pointer at("/train/evaluate/" + key);
  if (!job.contains(at) || !job[at].is_array()) return absl::OkStatus();
  for (Json& file : job[at]) {
    if (!file.is_string()) continue;
    RETURN_IF_ERROR(RewriteNode(file, SourceKind::kData, "train.evaluate." + key, rewrite, changed));
  }
  return absl::OkStatus();
}

// What the file is when it is plainly no job file; empty when it may be one. By name, and where names say nothing, by the
// first bytes.
std::string KindOf(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  char start[4] = {};
  std::ifstream(path, std::ios::binary).read(start, sizeof(start));
  const std::string_view bytes(start, sizeof(start));
  if (ending == ".xlsx" || ending == ".xlsm" || ending == ".xls" || bytes == "PK\x03\x04")
    return "a workbook";
  if (ending == ".parquet" || bytes == "PAR1") return "a parquet file";
  if (ending == ".gguf" || bytes == "GGUF") return "a model";
  if (ending == ".csv" || ending == ".tsv") return "a table";
  if (ending == ".jsonl" || ending == ".txt" || ending == ".md") return "data";
  // JSON is YAML too, but a job file is never a list.
  const size_t first = bytes.find_first_not_of("\xEF\xBB\xBF \r\n\t");
  if (ending == ".json" && first != std::string_view::npos && bytes[first] == '[') return "data";
  return "";
}

Status RefuseWhatIsNoJobFile(const fs::path& path) {
  const std::string kind = KindOf(path);
  if (kind.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(StrCat(path.string(), " is ", kind, " and no job file: give it with ",
                                           kind == "a model" ? "--model" : "--data"));
}

// A word that is no file's name is perhaps a recipe's.
StatusOr<JobText> RecipeText(const std::string& argument) {
  if (recipes::FindName(argument) != nullptr) {
    const Json job = {{"name", argument}, {"recipe", argument}};
    return JobText{
        .yaml = job.dump(2), .file_name = argument, .base = fs::current_path(), .has_lines = false};
  }
  if (argument.find_first_of("/.") != std::string::npos) {
    return absl::InvalidArgumentError(
        StrCat("there is no file ", argument,
               ": give the path of a job file, or a name that `ftctl recipe list` shows"));
  }
  return absl::InvalidArgumentError(
      StrCat("there is no file ", argument, ", and ", Message(recipes::NoSuchRecipe(argument))));
}

StatusOr<std::string> ReadRecipeFile(const fs::path& path) {
  StatusOr<std::string> text = ReadFile(path, kMaxJobFileBytes);
  if (text.ok() || !absl::IsNotFound(text.status())) return text;
  return absl::NotFoundError(StrCat("there is no file ", path.string(),
                                    ": correct the path, or give a name that `ftctl recipe list` shows"));
}

// Puts the recipe under it and applies the assignments.
Status TakeRecipe(JobText& text, const std::vector<std::string>& sets) {
  const StatusOr<recipes::Resolved> resolved = recipes::Resolve(
      {.yaml = text.yaml, .file_name = text.file_name, .folder = text.base, .has_lines = text.has_lines},
      sets, ReadRecipeFile);
  if (!resolved.ok()) return absl::InvalidArgumentError(std::string(Message(resolved.status())));
  text.yaml = resolved->job.dump(2, ' ', false, Json::error_handler_t::replace);
  text.from_recipe = true;
  text.model_config = resolved->model_config;
  text.remarks = resolved->remarks;
  return absl::OkStatus();
}

}  // namespace

StatusOr<JobText> ReadJobText(const std::string& argument) {
  if (argument == "-") {
    ASSIGN_OR_RETURN(std::string text, ReadStandardInput());
    return JobText{.yaml = std::move(text), .file_name = "standard input", .base = fs::current_path()};
  }
  const fs::path path(argument);
  std::error_code error;
  if (fs::is_directory(path, error)) {
    if (fs::exists(path / "config.json", error)) {
      return absl::InvalidArgumentError(
          StrCat(argument, " is a model: give it with --model, and the data with --data"));
    }
    return absl::InvalidArgumentError(StrCat(argument, " is a folder: give the job file inside it"));
  }
  if (!fs::exists(path, error)) {
    return RecipeText(argument);
  }
  RETURN_IF_ERROR(RefuseWhatIsNoJobFile(path));
  StatusOr<std::string> text = ReadFile(path, kMaxJobFileBytes);
  if (!text.ok()) return absl::InvalidArgumentError(std::string(Message(text.status())));
  return JobText{.yaml = *std::move(text), .file_name = argument, .base = fs::absolute(path).parent_path()};
}

namespace {

// A file's name without its ending, less what a job's name must not have.
std::string NameFor(const std::string& file) {
  std::string name = fs::path(file).stem().string();
  std::erase_if(name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  name.erase(0, name.find_first_not_of("-"));
  return recipe::WrongWithName(name).empty() ? name : std::string();
}

}  // namespace

JobText QuickJobText(const QuickJob& quick, const fs::path& base) {
  std::string name = quick.name;
  if (name.empty() && !quick.data.empty()) name = NameFor(quick.data.front());
  Json data = Json::array();
  for (const std::string& source : quick.data) data.push_back(Json::object({{"source", source}}));
  Json job = Json::object();
  job["name"] = name;
  job["model"] = Json::object({{"source", quick.model}});
  job["data"] = std::move(data);
  return {.yaml = job.dump(2, ' ', false, Json::error_handler_t::replace),
          .file_name = "arguments",
          .base = base,
          .has_lines = false};
}

StatusOr<std::string> MapAssignment(std::string_view map) {
  constexpr std::string_view kKeys[] = {"input", "output", "system"};
  Json columns = Json::object();
  std::string key;
  for (size_t begin = 0; begin <= map.size();) {
    const size_t comma = std::min(map.find(',', begin), map.size());
    const std::string_view part = map.substr(begin, comma - begin);
    begin = comma + 1;
    const auto found = std::find_if(std::begin(kKeys), std::end(kKeys), [part](std::string_view known) {
      return part.starts_with(known) && part.substr(known.size()).starts_with("=");
    });
    if (found != std::end(kKeys)) {
      key = *found;
      if (columns.contains(key))
        return absl::InvalidArgumentError(StrCat("--map ", map, ": ", key, " is there twice"));
      columns[key] = part.substr(key.size() + 1);
    } else if (!key.empty()) {
      columns[key] = StrCat(columns[key].get<std::string>(), ",", part);  // A comma within a column's name.
    } else {
      return absl::InvalidArgumentError(StrCat("--map ", map, ": write input=COLUMN,output=COLUMN"));
    }
  }
  for (const auto& [name, column] : columns.items()) {
    if (column.get<std::string>().empty())
      return absl::InvalidArgumentError(StrCat("--map ", map, ": ", name, " is empty"));
  }
  return StrCat("data.map=", columns.dump(-1, ' ', false, Json::error_handler_t::replace));
}

StatusOr<recipe::JobSpec> ResolveJob(JobText& text, const std::vector<std::string>& sets) {
  const bool from_recipe = recipes::StartsFromRecipe(recipe::ReadYaml(text.yaml));
  if (from_recipe) {
    RETURN_IF_ERROR(TakeRecipe(text, sets));
  } else if (!sets.empty()) {
    ASSIGN_OR_RETURN(text.yaml, recipe::WithOverrides(text.yaml, sets));
  }
  if (!sets.empty()) text.file_name += " with --set";
  if (!sets.empty() || from_recipe) text.has_lines = false;
  recipe::YamlTree tree = recipe::ReadYaml(text.yaml);
  const bool has_lines = text.has_lines;
  RETURN_IF_ERROR(TakeDeepspeedFileOf(text, tree));
  return recipe::ParseTree(std::move(tree), text.file_name, has_lines);
}

Status RefuseUnbuilt(const JobText& text, const recipe::JobSpec& spec) {
  std::string lines(Message(recipe::CheckSupported(spec)));
  const StatusOr<ModelConfig> config = ModelConfigOf(text, spec);
  const Json json = config.ok() ? Json::parse(config->text, nullptr, /*allow_exceptions=*/false) : Json();
  if (json.is_object() && json.contains("model_type") && json["model_type"].is_string()) {
    const Status family = recipe::CheckFamily(json["model_type"].get<std::string>());
    if (!family.ok()) StrAppend(&lines, lines.empty() ? "" : "\n", Message(family));
  }
  return lines.empty() ? absl::OkStatus() : absl::InvalidArgumentError(lines);
}

StatusOr<recipe::JobSpec> CheckJob(JobText& text, const std::vector<std::string>& sets) {
  ASSIGN_OR_RETURN(recipe::JobSpec spec, ResolveJob(text, sets));
  RETURN_IF_ERROR(RefuseUnbuilt(text, spec));
  return spec;
}

StatusOr<std::string> RewriteSources(std::string_view yaml, const SourceRewriter& rewrite) {
  recipe::YamlTree tree = recipe::ReadYaml(yaml);
  if (!tree.problems.empty()) return absl::InvalidArgumentError(tree.problems.front().message);
  if (!tree.root.is_object()) return std::string(yaml);
  bool changed = false;
  if (const auto model = tree.root.find("model"); model != tree.root.end()) {
    RETURN_IF_ERROR(RewriteNode(*model, SourceKind::kModel, "model", rewrite, changed));
  }
  if (const auto method = tree.root.find("method"); method != tree.root.end() && method->is_object()) {
    const auto earlier = method->find("init_from");
    if (earlier != method->end() && earlier->is_string() && *earlier != "")
      RETURN_IF_ERROR(RewriteNode(*earlier, SourceKind::kAdapter, "method.init_from", rewrite, changed));
  }
  RETURN_IF_ERROR(RewriteSets(tree.root, rewrite, changed));
  RETURN_IF_ERROR(RewriteFiles(tree.root, "prompt_files", rewrite, changed));
  RETURN_IF_ERROR(RewriteFiles(tree.root, "perplexity", rewrite, changed));
  if (const auto data = tree.root.find("data"); data != tree.root.end()) {
    if (!data->is_array()) RETURN_IF_ERROR(RewriteNode(*data, SourceKind::kData, "data", rewrite, changed));
    for (size_t i = 0; data->is_array() && i < data->size(); ++i) {
      RETURN_IF_ERROR(RewriteNode((*data)[i], SourceKind::kData, StrCat("data[", i, "]"), rewrite, changed));
    }
  }
  if (!changed) return std::string(yaml);
  return tree.root.dump(2, ' ', false, Json::error_handler_t::replace);
}

fs::path LocalPath(const fs::path& base, const std::string& source) {
  return (base / source).lexically_normal();
}

namespace {

// ORGANISATION/NAME, as model hubs call what they have.
bool LooksLikeHubName(const Source& source) {
  const auto slashes = std::count(source.value.begin(), source.value.end(), '/');
  return source.kind == SourceKind::kModel && slashes == 1 && source.value.front() != '/' &&
         source.value.front() != '.' && source.value.back() != '/';
}

// What more can be said of a path where there is nothing.
std::string WhatElse(const Source& source) {
  if (LooksLikeHubName(source))
    return StrCat("; if it is a name on a model hub, write hf://", source.value, " or modelscope://",
                  source.value);
  if (source.kind == SourceKind::kBenchmark)
    return "; the questions are from https://github.com/artidoro/qlora (data/mmlu)";
  const std::string place =
      source.kind == SourceKind::kData ? recipes::WhereToObtain(source.value) : std::string();
  return place.empty() ? place : StrCat("; the recipe's file is from ", place);
}

}  // namespace

StatusOr<std::string> WithAbsolutePaths(const JobText& text) {
  return RewriteSources(text.yaml, [&text](const Source& source) -> StatusOr<std::string> {
    if (recipe::IsRemoteSource(source.value)) return source.value;
    const fs::path path = LocalPath(text.base, source.value);
    std::error_code error;
    if (!fs::exists(path, error)) {
      return absl::InvalidArgumentError(StrCat(text.file_name, ": ", source.key, ": there is nothing at ",
                                               path.string(), ": correct the path, which is relative to ",
                                               text.base.string(), WhatElse(source)));
    }
    return path.string();
  });
}

}  // namespace ft::client
