#include "worker/data/prepare/paths.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include "core/base/file.h"
#include "core/base/read_limits.h"
#include "core/recipe/hub_source.h"

namespace ft::prepare {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kUpload = "upload://";

bool HasParentPart(const fs::path& path) {
  return std::find(path.begin(), path.end(), fs::path("..")) != path.end();
}

StatusOr<fs::path> Unchecked(std::string_view source, const SourceRoots& roots) {
  if (source.empty()) return absl::InvalidArgumentError("a source is empty; name a file");
  if (source.find('\0') != std::string_view::npos) {
    return absl::InvalidArgumentError("a source's name holds a zero byte; name a file");
  }
  if (source.starts_with(kUpload)) {
    return absl::InvalidArgumentError(
        StrCat(source, ": uploads are the coordinator's; give the file's own path here"));
  }
  if (recipe::IsHubSource(source)) {
    return absl::InvalidArgumentError(StrCat(
        "'", source, "' lies on a hub: `ftctl cache fetch` downloads it, then give its folder or file"));
  }
  RETURN_IF_ERROR(recipe::CheckRemoteSource(source, recipe::RepositoryKind::kDataset));
  const fs::path path{std::string(source)};
  if (HasParentPart(path)) {
    return absl::InvalidArgumentError(StrCat(source, " goes through `..`; write the path without it"));
  }
  if (path.is_absolute()) return path;
  if (roots.base.empty()) {
    return absl::InvalidArgumentError(StrCat(source, " is a relative path; write it from the root (/)"));
  }
  return roots.base / path;
}

}  // namespace

StatusOr<fs::path> ResolveSource(std::string_view source, const SourceRoots& roots) {
  ASSIGN_OR_RETURN(const fs::path path, Unchecked(source, roots));
  std::error_code why;
  const fs::path real = fs::canonical(path, why);
  const bool missing = static_cast<bool>(why);
  std::error_code error;
  // A missing file is judged by where it would be, so that an answer never tells what exists outside the
  // roots.
  const fs::path judged = missing ? fs::weakly_canonical(path, error) : real;
  const bool inside = std::any_of(roots.allowed.begin(), roots.allowed.end(), [&](const fs::path& root) {
    std::error_code ignored;
    const fs::path real_root = fs::weakly_canonical(root, ignored);
    return !ignored && !real_root.empty() && IsBelow(judged, real_root);
  });
  if (!inside) return OutsideTheFolders(source);
  if (missing && why.value() != ENOENT && why.value() != ENOTDIR)
    return ErrnoStatus("open", path, why.value());
  if (missing) return absl::NotFoundError(StrCat(source, " does not exist; check the path"));
  return real;
}

}  // namespace ft::prepare
