// Other programs of this project, which lie beside ftctl: becoming one, and asking one for its output.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "client/session/session.h"

namespace ft::client {

// The path of a program beside ftctl; NOT_FOUND naming the folder when it is not there.
StatusOr<std::filesystem::path> ProgramBeside(const Session& session, const std::string& name);

// Becomes `ft-rank` with these arguments; returns only when that fails.
Status BecomeRank(const Session& session, const std::vector<std::string>& arguments);

// The same, with what `ft-rank` says on standard error in the user's language: where that is not English, it runs as a child
// with the terminal its own, and its exit status is answered.
StatusOr<int> RunRank(const Session& session, const std::vector<std::string>& arguments);

struct Output {
  std::string text;     // Standard output and error, at most 1 MiB.
  int exit_status = 0;  // 128 + signal when it was killed.
};

// Runs a program to its end; DEADLINE_EXCEEDED (and the program killed) when it takes longer.
StatusOr<Output> OutputOf(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                          std::chrono::milliseconds timeout);

// Text as a file that a program started by BecomeRank can open under the path given back; it needs no deleting.
StatusOr<std::string> PassedFile(const std::string& text);

}  // namespace ft::client
