#include "worker/node/agent/data_cache.h"

#include <algorithm>

namespace ft::agent {

namespace fs = std::filesystem;

std::vector<CacheEntry> ListCache(const fs::path& folder) {
  std::vector<CacheEntry> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (!it->is_regular_file(gone)) continue;
    CacheEntry entry{it->path(), static_cast<int64_t>(it->file_size(gone)), {}};
    if (!gone) entry.used = it->last_write_time(gone);
    if (!gone) entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<CacheEntry> ListCaches(const fs::path& cache) {
  std::vector<CacheEntry> entries = ListCache(cache / "data");
  for (CacheEntry& base : ListCache(cache / "base")) {
    if (base.path.extension() == ".safetensors") entries.push_back(std::move(base));
  }
  return entries;
}

int64_t BytesOf(const std::vector<CacheEntry>& entries) {
  int64_t bytes = 0;
  for (const CacheEntry& entry : entries) bytes += entry.bytes;
  return bytes;
}

std::vector<fs::path> ToEvict(std::vector<CacheEntry> entries, int64_t max_bytes,
                              const std::set<std::string>& live, fs::file_time_type recent) {
  int64_t bytes = BytesOf(entries);
  std::sort(entries.begin(), entries.end(),
            [](const CacheEntry& a, const CacheEntry& b) { return a.used < b.used; });
  std::vector<fs::path> evicted;
  for (const CacheEntry& entry : entries) {
    if (bytes <= max_bytes) break;
    if (entry.used > recent || live.contains(entry.path.filename().string())) continue;
    evicted.push_back(entry.path);
    bytes -= entry.bytes;
  }
  return evicted;
}

void TouchCache(const fs::path& file) {
  std::error_code ignored;  // One that is gone is missed by whoever opens it.
  fs::last_write_time(file, fs::file_time_type::clock::now(), ignored);
}

}  // namespace ft::agent
