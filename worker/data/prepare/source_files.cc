#include "worker/data/prepare/source_files.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "core/base/counted.h"
#include "core/base/excerpt.h"
#include "core/base/file.h"
#include "core/hub/wanted.h"

namespace ft::prepare {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMostEntries = 200000;
constexpr int kMostLevels = 32;
constexpr size_t kNamesSaid = 4;

// What lies in a folder and below it, without what is hidden: folders such as .git and .cache are not the data set's.
StatusOr<std::vector<hub::HubFile>> ListFolder(const std::string& source, const fs::path& folder) {
  std::vector<hub::HubFile> files;
  std::error_code error;
  fs::recursive_directory_iterator entry(folder, error);
  int64_t seen = 0;
  for (; !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    if (++seen > kMostEntries)
      return absl::InvalidArgumentError(
          StrCat(source, " holds more than 200,000 files; name a folder in it"));
    const bool hidden = entry->path().filename().string().starts_with('.');
    if (hidden || entry.depth() >= kMostLevels) entry.disable_recursion_pending();
    std::error_code ignored;
    if (hidden || !entry->is_regular_file(ignored))
      continue;  // Links to files are files, as in the hubs' caches.
    hub::HubFile file;
    file.path = entry->path().lexically_relative(folder).generic_string();
    files.push_back(std::move(file));
  }
  if (error) return ErrnoStatus("list", folder, error.value());
  // The order of a folder is that of its file system.
  std::sort(files.begin(), files.end(),
            [](const hub::HubFile& a, const hub::HubFile& b) { return a.path < b.path; });
  return files;
}

std::string Sentence(const std::string& source, const std::vector<hub::HubFile>& taken, size_t all) {
  std::string names;
  for (size_t i = 0; i < std::min(kNamesSaid, taken.size()); ++i)
    StrAppend(&names, i == 0 ? "" : ", ", Excerpt(taken[i].path, 60));
  if (taken.size() > kNamesSaid) StrAppend(&names, " and ", taken.size() - kNamesSaid, " more");
  return StrCat(source, ": of the folder's ", Counted(static_cast<int64_t>(all), "file"), " ", taken.size(),
                taken.size() == 1 ? " is read: " : " are read: ", names);
}

// A link by the name that it has: in the hubs' caches that says what kind of file it is, and where it leads does not.
fs::path ByItsOwnName(const fs::path& source, const fs::path& resolved, const SourceRoots& roots) {
  std::error_code error;
  const fs::path folder = source.is_absolute() ? source.parent_path() : roots.base / source.parent_path();
  const fs::path real_folder = fs::canonical(folder, error);
  return error ? resolved : real_folder / source.filename();
}

}  // namespace

StatusOr<SourceFiles> FilesOfSource(const recipe::DataSource& source, const SourceRoots& roots) {
  ASSIGN_OR_RETURN(const fs::path path, ResolveSource(source.source, roots));
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    if (!source.subset.empty() || !source.folder.empty() || !source.split.empty()) {
      return absl::InvalidArgumentError(
          StrCat(source.source,
                 " is one file, and subset, folder and split choose files of a folder; take them out"));
    }
    return SourceFiles{.files = {ByItsOwnName(source.source, path, roots)}};
  }
  ASSIGN_OR_RETURN(const std::vector<hub::HubFile> all, ListFolder(source.source, path));
  const StatusOr<std::vector<hub::HubFile>> wanted =
      hub::WantedOfData(all, {.subset = source.subset, .folder = source.folder, .split = source.split});
  if (!wanted.ok()) return absl::InvalidArgumentError(StrCat(source.source, " ", Message(wanted.status())));
  SourceFiles found{.sentence = Sentence(source.source, *wanted, all.size())};
  for (const hub::HubFile& file : *wanted) {
    // A link is judged by where it leads, and read by its own name, which says what kind of file it is.
    RETURN_IF_ERROR(ResolveSource((path / file.path).string(), roots).status());
    found.files.push_back(path / file.path);
  }
  return found;
}

}  // namespace ft::prepare
