// What a rank is asked to do: job.json in the attempt's folder, written by the agent.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"

namespace ft::rank {

enum class AttemptKind { kPrepare, kTrain };

struct Attempt {
  std::filesystem::path dir;      // attempts/<epoch>
  recipe::JobSpec spec;
  std::string job_id;
  int64_t epoch = 0;
  AttemptKind kind = AttemptKind::kTrain;
  int world_size = 1;
  int threads = 1;                // Of each rank.
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
