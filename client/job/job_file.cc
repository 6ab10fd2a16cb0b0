#include "client/job/job_file.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/base/file.h"
#include "core/recipe/parse.h"
#include "core/recipe/supported.h"
#include "core/recipe/yaml_tree.h"
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
Status RewriteNode(Json& node, SourceKind kind, const std::string& key, const SourceRewriter& rewrite, bool& changed) {
  if (node.is_string()) return RewriteOne(node, {kind, key, node.get<std::string>()}, rewrite, changed);
  if (!node.is_object()) return absl::OkStatus();
  const auto found = node.find("source");
  if (found == node.end() || !found->is_string()) return absl::OkStatus();
  return RewriteOne(*found, {kind, StrCat(key, ".source"), found->get<std::string>()}, rewrite, changed);
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
    return absl::InvalidArgumentError(StrCat(argument, " is a folder: give the job file inside it"));
  }
  if (!fs::exists(path, error)) {
    return absl::InvalidArgumentError(StrCat("there is no file ", argument,
                                             ": give the path of a job file (built-in recipes are not in this version)"));
  }
  StatusOr<std::string> text = ReadFile(path, kMaxJobFileBytes);
  if (!text.ok()) return absl::InvalidArgumentError(std::string(Message(text.status())));
  return JobText{.yaml = *std::move(text), .file_name = argument, .base = fs::absolute(path).parent_path()};
}

JobText QuickJobText(const QuickJob& quick, const fs::path& base) {
  std::string name = quick.name;
  if (name.empty() && !quick.data.empty()) name = fs::path(quick.data.front()).stem().string();
  Json data = Json::array();
  for (const std::string& source : quick.data) data.push_back(Json::object({{"source", source}}));
  Json job = Json::object();
  job["name"] = name;
  job["model"] = Json::object({{"source", quick.model}});
  job["data"] = std::move(data);
  return {.yaml = job.dump(2, ' ', false, Json::error_handler_t::replace), .file_name = "arguments", .base = base};
}

StatusOr<recipe::JobSpec> CheckJob(JobText& text, const std::vector<std::string>& sets) {
  if (!sets.empty()) {
    ASSIGN_OR_RETURN(text.yaml, recipe::WithOverrides(text.yaml, sets));
    text.file_name += " with --set";
  }
  ASSIGN_OR_RETURN(recipe::JobSpec spec, recipe::ParseJob(text.yaml, text.file_name));
  const Status supported = recipe::CheckSupported(spec);
  if (!supported.ok()) return absl::InvalidArgumentError(std::string(Message(supported)));
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
  if (const auto data = tree.root.find("data"); data != tree.root.end()) {
    if (!data->is_array()) RETURN_IF_ERROR(RewriteNode(*data, SourceKind::kData, "data", rewrite, changed));
    for (size_t i = 0; data->is_array() && i < data->size(); ++i) {
      RETURN_IF_ERROR(RewriteNode((*data)[i], SourceKind::kData, StrCat("data[", i, "]"), rewrite, changed));
    }
  }
  if (!changed) return std::string(yaml);
  return tree.root.dump(2, ' ', false, Json::error_handler_t::replace);
}

bool IsRemoteSource(std::string_view source) { return source.find("://") != std::string_view::npos; }

fs::path LocalPath(const fs::path& base, const std::string& source) { return (base / source).lexically_normal(); }

StatusOr<std::string> WithAbsolutePaths(const JobText& text) {
  return RewriteSources(text.yaml, [&text](const Source& source) -> StatusOr<std::string> {
    if (IsRemoteSource(source.value)) return source.value;
    const fs::path path = LocalPath(text.base, source.value);
    std::error_code error;
    if (!fs::exists(path, error)) {
      return absl::InvalidArgumentError(StrCat(text.file_name, ": ", source.key, ": there is nothing at ",
                                               path.string(), ": correct the path, which is relative to ",
                                               text.base.string()));
    }
    return path.string();
  });
}

}  // namespace ft::client
