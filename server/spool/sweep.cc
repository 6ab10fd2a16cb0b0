#include "server/spool/sweep.h"

#include <spdlog/spdlog.h>

#include <vector>

namespace ft::spool {
namespace {

namespace fs = std::filesystem;

constexpr size_t kDigestLength = 64;

bool IsPart(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.ends_with(".part") || name.ends_with(".part.state");
}

// The newest change of a folder's files; its own where it has none.
fs::file_time_type NewestIn(const fs::path& folder) {
  std::error_code error;
  fs::file_time_type newest = fs::last_write_time(folder, error);
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    const fs::file_time_type time = fs::last_write_time(it->path(), gone);
    if (!gone) newest = std::max(newest, time);
  }
  return newest;
}

void Remove(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) spdlog::warn("{} stays on the disk: {}", path.string(), error.message());
}

}  // namespace

void SweepUploads(const fs::path& uploads, const std::set<std::string>& live, const SweepRules& rules,
                  fs::file_time_type now) {
  std::vector<fs::path> old;
  std::error_code error;
  for (fs::directory_iterator it(uploads, error), end; !error && it != end; it.increment(error)) {
    if (live.contains(it->path().filename().string())) continue;
    std::error_code gone;
    bool whole = false;
    for (fs::directory_iterator file(it->path(), gone), last; !gone && file != last; file.increment(gone))
      whole = whole || !IsPart(file->path());
    if (now - NewestIn(it->path()) > (whole ? rules.uploads : rules.parts)) old.push_back(it->path());
  }
  for (const fs::path& path : old) Remove(path);
}

void SweepParts(const fs::path& jobs, const SweepRules& rules, fs::file_time_type now) {
  std::vector<fs::path> old;
  std::error_code error;
  for (fs::recursive_directory_iterator it(jobs, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (!IsPart(it->path()) || now - fs::last_write_time(it->path(), gone) <= rules.parts || gone) continue;
    old.push_back(it->path());
  }
  for (const fs::path& path : old) Remove(path);
}

std::set<std::string> UploadsNamed(const std::string& config, const fs::path& uploads) {
  const std::string start = uploads.string() + "/";
  std::set<std::string> digests;
  for (size_t at = config.find(start); at != std::string::npos; at = config.find(start, at + start.size())) {
    const std::string digest = config.substr(at + start.size(), kDigestLength);
    if (digest.size() == kDigestLength) digests.insert(digest);
  }
  return digests;
}

}  // namespace ft::spool
