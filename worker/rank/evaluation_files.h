// The files that a training reads to evaluate itself (docs/job-file.md, train.evaluate.prompt_files and perplexity).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "worker/data/cache/token_cache.h"
#include "worker/data/prepare/prepare.h"
#include "worker/rank/attempt.h"

namespace ft::rank {

inline constexpr size_t kMaxFilePrompts = 256;  // Of a training: a stop waits until all have been answered.

// evaluate.prompts, and behind them those of its files. Errors name the key, the file and the place.
StatusOr<std::vector<std::string>> AllPrompts(const recipe::EvaluateSpec& evaluate,
                                              const prepare::SourceRoots& roots);

// Prepares one file of held-out data as the job prepares its own. Errors name the key and the file.
StatusOr<prepare::PreparedReport> PrepareHeldOut(const prepare::PrepareRequest& request_of_job,
                                                 const std::string& file);

// Held-out data as a model is measured on it.
struct HeldOutFile {
  std::string name;  // What its results are called (prepare::NamesOfFiles).
  data::TokenCache samples;
};

// Those of the job, prepared on this node: the same on each of them.
StatusOr<std::vector<HeldOutFile>> OpenHeldOutFiles(const prepare::PrepareRequest& request_of_job);

}  // namespace ft::rank
