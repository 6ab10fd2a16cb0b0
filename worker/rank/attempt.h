// What a rank is asked to do: job.json in the attempt's folder, written by the agent.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/process/attempt_facts.h"
#include "core/recipe/job_spec.h"

namespace ft::rank {

// Where sources on hubs lie on this node (hub_sources.h).
struct FetchedSources {
  std::vector<std::vector<std::filesystem::path>>
      data;  // By index of spec.data: its files; empty = its source is a path.
  std::vector<std::filesystem::path> caches;  // The folders that hold them.
  std::vector<std::string> lines;             // For people: what each stands for.
};

struct Attempt {
  std::filesystem::path dir;  // attempts/<epoch>
  recipe::JobSpec spec;
  process::AttemptFacts run;
  FetchedSources sources;
};

// INVALID_ARGUMENT names file and key.
StatusOr<Attempt> ReadAttempt(const std::filesystem::path& dir);

}  // namespace ft::rank
