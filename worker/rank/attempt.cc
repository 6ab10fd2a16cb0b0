#include "worker/rank/attempt.h"

#include "core/base/file.h"
#include "core/recipe/json.h"
#include "nlohmann/json.hpp"

namespace ft::rank {

StatusOr<Attempt> ReadAttempt(const std::filesystem::path& dir) {
  const std::filesystem::path path = dir / "job.json";
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 16 << 20));
  const auto root = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  for (const char* key : {"spec", "run"}) {
    if (root.is_object() && root.contains(key)) continue;
    return absl::InvalidArgumentError(StrCat(path.string(), ": '", key, "' is missing or of the wrong kind"));
  }
  StatusOr<recipe::JobSpec> spec = recipe::FromJson(root["spec"].dump());
  if (!spec.ok()) return WithContext(spec.status(), path.string());
  StatusOr<process::AttemptFacts> run = process::AttemptFactsFromJson(root["run"]);
  if (!run.ok()) return WithContext(run.status(), path.string());
  return Attempt{.dir = dir, .spec = *std::move(spec), .run = *std::move(run)};
}

}  // namespace ft::rank
