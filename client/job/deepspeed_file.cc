#include "client/job/deepspeed_file.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/recipe/deepspeed.h"
#include "core/recipe/parse.h"
#include "core/recipe/sharding.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxDeepspeedBytes = 1 << 20;  // More is refused with a sentence of its own.
constexpr std::string_view kKey = "parallel.deepspeed";

bool IsName(const std::string& name) {
  recipe::ParallelSpec known;
  return recipe::TakeDeepspeedName(name, known);
}

// The file that parallel.deepspeed names; empty where it names none of a person's own.
std::string FileNameIn(const Json& root) {
  const Json::json_pointer at("/parallel/deepspeed");
  if (!root.is_object() || !root.contains(at) || !root[at].is_string()) return "";
  const std::string name = root[at].get<std::string>();
  return IsName(name) ? "" : name;
}

// A word that is no path is for the parser to complain about, unless there is such a file.
bool LooksLikeFile(const std::string& name, const fs::path& base) {
  std::error_code error;
  return name.find_first_of("/.") != std::string::npos || fs::is_regular_file(base / name, error);
}

StatusOr<std::string> ReadDeepspeed(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return ReadFile(path, kMaxDeepspeedBytes);
  return absl::NotFoundError(StrCat("there is no file ", path.string(), ": correct the path, or give one of ",
                                    recipe::DeepspeedNames()));
}

}  // namespace

StatusOr<std::vector<std::string>> DeepspeedAssignments(const std::string& name) {
  const auto instead = [](const std::string& value) {
    return std::vector<std::string>{StrCat(kKey, "=", Json(value).dump())};
  };
  if (IsName(name)) return instead(name);
  const fs::path here = fs::current_path();
  if (LooksLikeFile(name, here)) return instead(LocalPath(here, name).string());
  return absl::NotFoundError(StrCat("--deepspeed ", name, ": is none of ", recipe::DeepspeedNames()));
}

Status TakeDeepspeedFileOf(JobText& text, recipe::YamlTree& tree) {
  const std::string name = FileNameIn(tree.root);
  if (name.empty() || !LooksLikeFile(name, text.base)) return absl::OkStatus();
  const auto refuse = [&](const Status& status) {
    for (const absl::string_view line : absl::StrSplit(status.message(), '\n'))
      tree.problems.push_back({0, std::string(kKey), std::string(line)});
    return recipe::RefusalOf(tree, text.file_name, text.has_lines);
  };
  const StatusOr<std::string> file = ReadDeepspeed(LocalPath(text.base, name));
  if (!file.ok()) return refuse(file.status());
  recipe::YamlTree job = tree;
  job.root["parallel"].erase("deepspeed");
  ASSIGN_OR_RETURN(const recipe::JobSpec spec, recipe::ParseTree(job, text.file_name, text.has_lines));
  StatusOr<recipe::DeepspeedFile> taken = recipe::TakeDeepspeedFile(*file, name, spec, job.root);
  if (!taken.ok()) return refuse(taken.status());
  tree.root = std::move(job.root);
  text.yaml = tree.root.dump(2, ' ', false, Json::error_handler_t::replace);
  text.has_lines = false;
  text.remarks.insert(text.remarks.end(), taken->remarks.begin(), taken->remarks.end());
  text.deepspeed = std::move(taken->keys);
  return absl::OkStatus();
}

}  // namespace ft::client
