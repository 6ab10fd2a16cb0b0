// Starting a process the way the supervisor does.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "core/base/file.h"

namespace ft::supervisor {

struct SpawnOptions {
  std::vector<std::string> argv;  // argv[0] is the program's path.
  std::string cwd;                // Empty = the supervisor's.
  std::string stdout_path;        // Opened for appending; empty = inherited.
  std::string stderr_path;
  int fd3 = -1;                   // Becomes the child's fd 3; all others but 0-2 close.
  bool own_group = true;
};

struct Spawned {
  pid_t pid = 0;
  UniqueFd pidfd;
};

// posix_spawn with default signal handlers and an empty mask. The error names the program and the cause.
StatusOr<Spawned> Spawn(const SpawnOptions& options);

}  // namespace ft::supervisor
