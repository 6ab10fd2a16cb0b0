#include "worker/rank/attempt.h"

#include <optional>

#include "core/base/file.h"
#include "core/recipe/json.h"
#include "nlohmann/json.hpp"

namespace ft::rank {
namespace {

using Json = nlohmann::json;

template <typename T>
bool Take(const Json& run, const char* key, T& out) {
  const auto found = run.find(key);
  if (found == run.end()) return false;
  if constexpr (std::is_integral_v<T>) {
    if (!found->is_number_integer()) return false;
  } else {
    if (!found->is_string()) return false;
  }
  out = found->get<T>();
  return true;
}

// The key that is wrong, or nothing.
std::optional<std::string> ReadRendezvous(const Json& run, Attempt& attempt) {
  if (attempt.world_size == 1) return std::nullopt;
  const auto given = run.find("rendezvous");
  if (given == run.end() || !given->is_object()) return "run.rendezvous";
  std::string store, path;
  if (!Take(*given, "store", store) || (store != "file" && store != "tcp")) return "run.rendezvous.store";
  attempt.rendezvous.one_node = store == "file";
  if (store == "file" && (!Take(*given, "path", path) || path.empty())) return "run.rendezvous.path";
  if (store == "tcp" && (!Take(*given, "host", attempt.rendezvous.host) || attempt.rendezvous.host.empty())) {
    return "run.rendezvous.host";
  }
  attempt.rendezvous.folder = attempt.dir / path;
  return std::nullopt;
}

}  // namespace

StatusOr<Attempt> ReadAttempt(const std::filesystem::path& dir) {
  const std::filesystem::path path = dir / "job.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 16 << 20));
  const Json root = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto broken = [&](std::string_view key) {
    return absl::InvalidArgumentError(StrCat(path.string(), ": '", key, "' is missing or of the wrong kind"));
  };
  if (!root.is_object() || !root.contains("spec")) return broken("spec");
  if (!root.contains("run") || !root["run"].is_object()) return broken("run");
  Attempt attempt{.dir = dir};
  StatusOr<recipe::JobSpec> spec = recipe::FromJson(root["spec"].dump());
  if (!spec.ok()) return WithContext(spec.status(), path.string());
  attempt.spec = *std::move(spec);
  const Json& run = root["run"];
  std::string kind, prepared_cache, run_dir, cache_dir;
  if (!Take(run, "job_id", attempt.job_id)) return broken("run.job_id");
  if (!Take(run, "epoch", attempt.epoch)) return broken("run.epoch");
  if (!Take(run, "kind", kind) || (kind != "PREPARE" && kind != "TRAIN")) return broken("run.kind");
  if (!Take(run, "world_size", attempt.world_size) || attempt.world_size < 1) return broken("run.world_size");
  if (const std::optional<std::string> key = ReadRendezvous(run, attempt)) return broken(*key);
  if (!Take(run, "threads", attempt.threads) || attempt.threads < 1) return broken("run.threads");
  if (!Take(run, "run_dir", run_dir)) return broken("run.run_dir");
  if (!Take(run, "cache_dir", cache_dir)) return broken("run.cache_dir");
  attempt.kind = kind == "PREPARE" ? AttemptKind::kPrepare : AttemptKind::kTrain;
  Take(run, "resume_step", attempt.resume_step);
  Take(run, "resume_path", attempt.resume_path);
  Take(run, "prepared_cache", prepared_cache);
  Take(run, "prepared_sha256", attempt.prepared_sha256);
  attempt.prepared_cache = prepared_cache;
  attempt.run_dir = run_dir;
  attempt.cache_dir = cache_dir;
  std::string uploads_dir;
  if (Take(run, "uploads_dir", uploads_dir)) attempt.uploads_dir = uploads_dir;
  if (run.contains("roots")) {
    attempt.roots.clear();
    if (!run["roots"].is_array()) return broken("run.roots");
    for (const Json& root : run["roots"]) {
      if (!root.is_string()) return broken("run.roots");
      attempt.roots.emplace_back(root.get<std::string>());
    }
  }
  return attempt;
}

}  // namespace ft::rank
