// Other programs of this project, which lie beside ftctl: becoming one, and asking one for its output.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "client/commands/session.h"

namespace ft::client {

// The path of a program beside ftctl; NOT_FOUND naming the folder when it is not there.
StatusOr<std::filesystem::path> ProgramBeside(const Session& session, const std::string& name);

// Becomes `ft-rank` with these arguments; returns only when that fails.
Status BecomeRank(const Session& session, const std::vector<std::string>& arguments);

struct Output {
  std::string text;     // Standard output and error, at most 64 KiB.
  int exit_status = 0;  // 128 + signal when it was killed.
};

// Runs a program to its end; DEADLINE_EXCEEDED (and the program killed) when it takes longer.
StatusOr<Output> OutputOf(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                          std::chrono::milliseconds timeout);

// Text as a file that a program started by BecomeRank can open under the path given back; it needs no deleting.
StatusOr<std::string> PassedFile(const std::string& text);

}  // namespace ft::client
