#include "client/stored/run_folder.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "client/session/output.h"
#include "core/base/file.h"
#include "core/base/shell_quote.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kMaxJsonBytes = 16 << 20;

// The file as JSON, or null when it is not there or not JSON.
Json ReadJson(const fs::path& path) {
  const StatusOr<std::string> text = ReadFile(path, kMaxJsonBytes);
  if (!text.ok()) return nullptr;
  Json value = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  return value.is_discarded() ? Json() : value;
}

// The text at a path of keys; empty when it is not there.
std::string TextAt(const Json& value, std::initializer_list<const char*> keys) {
  const Json* node = &value;
  for (const char* key : keys) {
    if (!node->is_object()) return std::string();
    const auto found = node->find(key);
    if (found == node->end()) return std::string();
    node = &*found;
  }
  return node->is_string() ? node->get<std::string>() : std::string();
}

std::string ModelOf(const Json& spec) {
  const std::string plain = TextAt(spec, {"model"});
  return plain.empty() ? TextAt(spec, {"model", "source"}) : plain;
}

std::optional<int64_t> EpochOf(const fs::path& folder) {
  const std::string name = folder.filename().string();
  const bool digits = !name.empty() && name.size() <= 18 &&
                      std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits) return std::nullopt;
  return std::stoll(name);
}

std::vector<fs::path> FoldersIn(const fs::path& dir) {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) folders.push_back(it->path());
  }
  return folders;
}

bool HasFile(const fs::path& dir, const char* name) {
  std::error_code error;
  return fs::exists(dir / name, error);
}

// A LoRA adapter, or the whole model that a full fine-tuning leaves.
bool IsResult(const fs::path& dir) {
  return HasFile(dir, "adapter_config.json") || HasFile(dir, "config.json");
}

RunFolder FromRunDir(const fs::path& run_dir) {
  RunFolder folder{.name = run_dir.filename().string(), .run_dir = run_dir};
  const std::vector<Attempt> attempts = AttemptsOf(run_dir);
  if (attempts.empty()) return folder;
  const Attempt* used = &attempts.front();
  for (const Attempt& attempt : attempts) {
    if (!IsResult(attempt.dir / "adapter")) continue;
    used = &attempt;
    folder.adapter = attempt.dir / "adapter";
    break;
  }
  folder.attempt = used->dir;
  folder.model = used->model;
  if (!used->name.empty()) folder.name = used->name;
  return folder;
}

StatusOr<RunFolder> FromJob(const v1::Job& job, const std::string& argument) {
  std::error_code error;
  if (job.run_dir().empty()) {
    return absl::FailedPreconditionError(
        StrCat(argument, " has no files yet: it has not started to run; `ftctl explain ",
               ShellQuoted(argument), "` says why"));
  }
  if (!fs::is_directory(job.run_dir(), error)) {
    return absl::FailedPreconditionError(StrCat("the files of ", argument, " are on another machine, at ",
                                                job.run_dir(), ": `ftctl export ", ShellQuoted(argument),
                                                " DIR` fetches the result"));
  }
  RunFolder folder = FromRunDir(job.run_dir());
  folder.name = job.display_name().empty() ? argument : job.display_name();
  if (folder.model.empty()) {
    folder.model = ModelOf(Json::parse(job.resolved_config_json(), nullptr, /*allow_exceptions=*/false));
  }
  if (!job.result().adapter_dir().empty()) folder.adapter = job.result().adapter_dir();
  return folder;
}

// An earlier run of the name on this machine that has a result.
std::optional<RunFolder> EarlierResult(const Session& session, const std::string& name) {
  StatusOr<RunFolder> earlier = FindRunByName(PrivateRuns(session), name);
  if (!earlier.ok() || earlier->adapter.empty()) return std::nullopt;
  PrintNotice(StrCat("the newest ", name, " has no result: this is the one of ",
                     earlier->run_dir.filename().string()));
  return *std::move(earlier);
}

// A run of the name that came later and left nothing is not passed over in silence.
void TellNewerWithoutResult(const Session& session, const std::string& name, const RunFolder& used) {
  if (used.adapter.empty()) return;
  for (const RunFolder& run : AllRuns(session)) {
    if (run.name != name || !run.adapter.empty() || run.run_dir <= used.run_dir) continue;
    PrintNotice(
        StrCat("the newest ", name, " has no result: this is the one of ", used.run_dir.filename().string()));
    return;
  }
}

// Newer attempts, then newer writes, come first.
fs::file_time_type NewestWrite(const RunFolder& folder) {
  std::error_code error;
  const auto time = fs::last_write_time(folder.attempt / "job.json", error);
  return error ? fs::file_time_type::min() : time;
}

}  // namespace

fs::path PrivateRuns(const Session& session) { return session.data_dir / "worker" / "runs"; }

fs::path PrivateSpool(const Session& session, const RunFolder& run) {
  return session.data_dir / "jobs" / run.run_dir.filename();
}

std::vector<Attempt> AttemptsOf(const fs::path& run_dir) {
  std::vector<Attempt> attempts;
  for (const fs::path& folder : FoldersIn(run_dir / "attempts")) {
    const std::optional<int64_t> epoch = EpochOf(folder);
    if (!epoch.has_value()) continue;
    Attempt& attempt = attempts.emplace_back(Attempt{.epoch = *epoch, .dir = folder});
    const Json job = ReadJson(folder / "job.json");
    attempt.kind = TextAt(job, {"run", "kind"});
    attempt.name = TextAt(job, {"spec", "name"});
    if (!job.is_object() || !job.contains("spec")) continue;
    attempt.model = ModelOf(job["spec"]);
    attempt.spec_json = job["spec"].dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
  }
  std::sort(attempts.begin(), attempts.end(),
            [](const Attempt& a, const Attempt& b) { return a.epoch > b.epoch; });
  return attempts;
}

StatusOr<RunFolder> RunFolderAt(const fs::path& path) {
  std::error_code error;
  const fs::path full = fs::absolute(path).lexically_normal();
  const fs::path dir = full.has_filename() ? full : full.parent_path();
  if (!fs::exists(dir, error))
    return absl::InvalidArgumentError(StrCat("there is nothing at ", path.string()));
  if (HasFile(dir, "attempts")) return FromRunDir(dir);
  if (HasFile(dir, "adapter_config.json")) {
    const Json config = ReadJson(dir / "adapter_config.json");
    return RunFolder{.name = dir.filename().string(),
                     .adapter = dir,
                     .model = TextAt(config, {"base_model_name_or_path"})};
  }
  if (HasFile(dir, "config.json") || dir.extension() == ".gguf") {
    return RunFolder{.name = dir.filename().string(), .model = dir.string()};
  }
  return absl::InvalidArgumentError(
      StrCat(path.string(),
             " is no run folder (attempts/), no adapter (adapter_config.json) and no "
             "model (config.json or .gguf)"));
}

StatusOr<RunFolder> FindRunByName(const fs::path& runs, const std::string& name) {
  std::optional<RunFolder> newest;
  for (const fs::path& run : FoldersIn(runs)) {
    RunFolder folder = FromRunDir(run);
    if (folder.name != name && run.filename().string() != name) continue;
    const bool better =
        !newest.has_value() || (!folder.adapter.empty() && newest->adapter.empty()) ||
        (folder.adapter.empty() == newest->adapter.empty() && NewestWrite(folder) > NewestWrite(*newest));
    if (better) newest = std::move(folder);
  }
  if (newest.has_value()) return *std::move(newest);
  return absl::NotFoundError(StrCat("no job called '", name, "' has files in ", runs.string()));
}

std::vector<RunFolder> AllRuns(const Session& session) {
  std::vector<RunFolder> runs;
  for (const fs::path& run : FoldersIn(PrivateRuns(session))) runs.push_back(FromRunDir(run));
  // Ids begin with the time of creation.
  std::sort(runs.begin(), runs.end(),
            [](const RunFolder& a, const RunFolder& b) { return a.run_dir > b.run_dir; });
  return runs;
}

StatusOr<RunFolder> ResolveRunFolder(Session& session, const std::string& argument) {
  std::error_code error;
  const bool is_path = argument.find('/') != std::string::npos || argument == "." || argument == "..";
  if (is_path) return RunFolderAt(argument);
  const StatusOr<v1::Job> job = session.GetJob(argument);
  if (job.ok()) {
    StatusOr<RunFolder> folder = FromJob(*job, argument);
    const bool has_result = job->state() == v1::SUCCEEDED || (folder.ok() && !folder->adapter.empty());
    if (has_result) return folder;
    std::optional<RunFolder> earlier = EarlierResult(session, argument);
    return earlier.has_value() ? *std::move(earlier) : std::move(folder);
  }
  const StatusOr<RunFolder> found = FindRunByName(PrivateRuns(session), argument);
  if (found.ok()) {
    TellNewerWithoutResult(session, argument, *found);
    return found;
  }
  // A folder of that name is what is meant only when no job has the name.
  if (fs::exists(argument, error)) return RunFolderAt(argument);
  if (!absl::IsUnavailable(job.status())) return job.status();
  return Status(job.status().code(), StrCat(found.status().message(), ", and ", job.status().message()));
}

}  // namespace ft::client
