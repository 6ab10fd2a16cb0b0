// Sends one file to the coordinator in slices, each a call with a deadline of its own, after its digest. A file that arrived
// in part goes on where the coordinator has it. Keeps itself alive until the last call has ended.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/base/file.h"
#include "worker/node/agent/client.h"
#include "worker/node/agent/file_thread.h"

namespace ft::agent {

struct ArtifactFile {
  std::string session_id;
  wpb::RankRef ref;
  std::string name;  // Relative to the adapter's folder.
  std::filesystem::path path;
  std::string sha256;                                 // When it is known; else the file is read for it.
  std::function<void(const std::string&)> on_digest;  // Told before the first call.
};

// `done` runs on the loop's thread. It never runs when `files` ends before the digest is made.
void PushArtifact(Client& client, FileThread& files, ArtifactFile file,
                  std::function<void(const Status&)> done);

}  // namespace ft::agent
