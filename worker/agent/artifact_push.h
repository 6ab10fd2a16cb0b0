// Sends one file to the coordinator as a stream of pieces. Keeps itself alive until the call has ended.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/base/file.h"
#include "worker/agent/client.h"

namespace ft::agent {

struct ArtifactFile {
  std::string session_id;
  wpb::RankRef ref;
  std::string name;  // Relative to the adapter's folder.
  std::filesystem::path path;
};

// `done` runs on the loop's thread.
void PushArtifact(Client& client, const ArtifactFile& file, std::function<void(const Status&)> done);

}  // namespace ft::agent
