// Sends one file to the coordinator as a stream of pieces, after its digest. Keeps itself alive until the call has ended.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/base/file.h"
#include "worker/agent/client.h"
#include "worker/agent/file_thread.h"

namespace ft::agent {

struct ArtifactFile {
  std::string session_id;
  wpb::RankRef ref;
  std::string name;  // Relative to the adapter's folder.
  std::filesystem::path path;
};

// `done` runs on the loop's thread. It never runs when `files` ends before the digest is made.
void PushArtifact(Client& client, FileThread& files, ArtifactFile file, std::function<void(const Status&)> done);

}  // namespace ft::agent
