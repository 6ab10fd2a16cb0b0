// Where the files of a rank lie below the coordinator's data folder.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/str_cat.h"

namespace ft::spool {

inline std::filesystem::path JobsDir(const std::filesystem::path& root) { return root / "jobs"; }

inline std::filesystem::path AttemptDir(const std::filesystem::path& root, const std::string& job_id,
                                        int64_t epoch) {
  return JobsDir(root) / job_id / StrCat("e", epoch);
}

inline std::filesystem::path RankDir(const std::filesystem::path& root, const std::string& job_id,
                                     int64_t epoch, int32_t rank) {
  return AttemptDir(root, job_id, epoch) / StrCat("rank", rank);
}

inline constexpr char kRecordsFile[] = "records.ftr";

}  // namespace ft::spool
