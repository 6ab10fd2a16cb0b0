// What nobody will ask for again: uploads that no unfinished job names, and pieces of transfers that were given up.
#pragma once

#include <filesystem>
#include <set>
#include <string>

namespace ft::spool {

struct SweepRules {
  std::chrono::hours uploads{
      24 * 7};  // An upload is kept so long after it came, for a job that is yet to be submitted.
  std::chrono::hours parts{24};  // A transfer may go on within so long.
};

// Below `uploads`: `<sha256>/<file>` with pieces `.part` and `.part.state`. `live`: digests that unfinished jobs name. What
// cannot be removed stays for the next time.
void SweepUploads(const std::filesystem::path& uploads, const std::set<std::string>& live,
                  const SweepRules& rules, std::filesystem::file_time_type now);

// Pieces of results below `jobs`.
void SweepParts(const std::filesystem::path& jobs, const SweepRules& rules,
                std::filesystem::file_time_type now);

// The digests of uploads that a job's configuration names by their paths below `uploads`.
std::set<std::string> UploadsNamed(const std::string& config, const std::filesystem::path& uploads);

}  // namespace ft::spool
