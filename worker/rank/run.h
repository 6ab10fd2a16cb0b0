// `ft-rank run`: one rank of one attempt, from its folder to its Result record.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ft::rank {

struct RunOptions {
  std::filesystem::path attempt_dir;
  int rank = 0;
  int control_fd = -1;
};

// The process's exit status: 0 when the Result says SUCCEEDED or STOPPED, 1 when FAILED, 2 when no Result could be
// written. The rank dies with its parent from here on.
int Run(const RunOptions& options);

// Reads --attempt, --rank and --control-fd; 2 on anything else.
int RunVerb(const std::vector<std::string>& arguments);

}  // namespace ft::rank
