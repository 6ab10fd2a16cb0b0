// What a rank is asked to do: job.json in the attempt's folder, written by the agent.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"

namespace ft::rank {

enum class AttemptKind { kPrepare, kTrain };

// Where the ranks of an attempt meet. Of one node: in a folder below the attempt's, over files and Unix sockets. Of several:
// at a store that rank 0 opens on a free port of `host`; the others are told its address over their control sockets.
struct Rendezvous {
  bool one_node = true;
  std::filesystem::path folder;  // Shared folder of ranks of one node.
  std::string host;              // Rank 0's address; of several nodes.
};

struct Attempt {
  std::filesystem::path dir;      // attempts/<epoch>
  recipe::JobSpec spec;
  std::string job_id;
  int64_t epoch = 0;
  AttemptKind kind = AttemptKind::kTrain;
  int world_size = 1;
  Rendezvous rendezvous;          // Has a meaning when world_size is above 1.
  int threads = 1;                // Threads of each rank.
  int64_t resume_step = 0;
  std::string resume_path;        // Relative to run_dir; empty = from the start.
  std::filesystem::path prepared_cache;
  std::string prepared_sha256;
  std::filesystem::path run_dir;
  std::filesystem::path cache_dir;
  std::vector<std::filesystem::path> roots = {"/"};  // What sources may be read from.
  std::filesystem::path uploads_dir;  // Files that clients sent; empty = none.
};

// INVALID_ARGUMENT names file and key.
StatusOr<Attempt> ReadAttempt(const std::filesystem::path& dir);

}  // namespace ft::rank
