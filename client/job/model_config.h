// The config.json that tells a job's model: of its folder, or what a .gguf file's header amounts to, where that is at hand, else the
// one that its recipe brings.
#pragma once

#include <string>

#include "client/job/job_file.h"
#include "core/base/status.h"
#include "core/recipe/job_spec.h"

namespace ft::client {

struct ModelConfig {
  std::string file;  // For messages.
  std::string text;
  std::string remark;  // Where it is another model's than the job names; else empty.
};

// Whether a source is a path where something is.
bool IsAtHand(const JobText& text, const std::string& source);

// INVALID_ARGUMENT where neither is there.
StatusOr<ModelConfig> ModelConfigOf(const JobText& text, const recipe::JobSpec& spec);

}  // namespace ft::client
