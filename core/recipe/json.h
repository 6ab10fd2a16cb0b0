// The resolved job as JSON: every key, defaults included. What the coordinator stores and the rank reads.
#pragma once

#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"
#include "nlohmann/json.hpp"

namespace ft::recipe {

std::string ToJson(const JobSpec& spec);

// Every key, those too that ToJson leaves out where they are the default, because older programs do not know them.
nlohmann::ordered_json ToWholeTree(const JobSpec& spec);

// As strict as the job file; INVALID_ARGUMENT names every wrong path.
StatusOr<JobSpec> FromJson(std::string_view json);

}  // namespace ft::recipe
