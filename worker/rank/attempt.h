// What a rank is asked to do: job.json in the attempt's folder, written by the agent.
#pragma once

#include <filesystem>

#include "core/base/status.h"
#include "core/process/attempt_facts.h"
#include "core/recipe/job_spec.h"

namespace ft::rank {

struct Attempt {
  std::filesystem::path dir;  // attempts/<epoch>
  recipe::JobSpec spec;
  process::AttemptFacts run;
};

// INVALID_ARGUMENT names file and key.
StatusOr<Attempt> ReadAttempt(const std::filesystem::path& dir);

}  // namespace ft::rank
