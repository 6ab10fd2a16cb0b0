// Turns a job file into the row of a new job: parses, resolves, and refuses what cannot run, before anything
// is stored.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "finetune/v1/jobs.pb.h"
#include "server/state/cluster_state.h"

namespace ft::api {

struct AdmissionRules {
  std::vector<std::string> roots;  // Local models and data lie below one of them; empty = anywhere.
  std::filesystem::path uploads;   // Where upload:// files are.
};

// Rows without a job id.
struct Admitted {
  state::spb::StoredJob row;
  state::spb::StoredConfig config;
};

// INVALID_ARGUMENT, UNIMPLEMENTED or PERMISSION_DENIED, each with its reason.
StatusOr<Admitted> Admit(const finetune::v1::CreateJobRequest& request, const AdmissionRules& rules);

// Sorts by time of creation; unguessable enough not to collide.
std::string NewJobId();

}  // namespace ft::api
