// The final adapter of a job from the coordinator, for jobs that ran on another machine.
#pragma once

#include <filesystem>

#include "client/session/session.h"

namespace ft::client {

// Writes the adapter's files into `dir`, which must not exist or be empty. Every file's size and SHA-256 are checked;
// on any failure `dir` is left without them.
Status FetchAdapter(Session& session, const v1::Job& job, const std::filesystem::path& dir);

}  // namespace ft::client
