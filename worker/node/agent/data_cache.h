// The node's prepared data and quantised bases: what may go when they grow beyond their bound. A file's time of change says when it was
// last used: the agent sets it whenever an attempt names prepared data, a rank when it opens a base.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::agent {

struct CacheEntry {
  std::filesystem::path path;
  int64_t bytes = 0;
  std::filesystem::file_time_type used;
};

// The files of the folder; what vanishes meanwhile is left out.
std::vector<CacheEntry> ListCache(const std::filesystem::path& folder);

// Of the node's cache folder: data/, and of base/ the bases themselves, without which nothing beside them is taken for one.
std::vector<CacheEntry> ListCaches(const std::filesystem::path& cache);

int64_t BytesOf(const std::vector<CacheEntry>& entries);

// The least recently used that must go for the rest to fit `max_bytes`. What a live job names (`live`, by file name) or what
// was used after `recent` stays, even if then too much is left. Pure.
std::vector<std::filesystem::path> ToEvict(std::vector<CacheEntry> entries, int64_t max_bytes,
                                           const std::set<std::string>& live,
                                           std::filesystem::file_time_type recent);

// Notes that the file is used now.
void TouchCache(const std::filesystem::path& file);

}  // namespace ft::agent
