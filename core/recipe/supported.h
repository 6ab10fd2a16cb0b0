// What the job file can say and this version does not do: refused by name, before anything is stored.
#pragma once

#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"
#include "nlohmann/json.hpp"

namespace ft::recipe {

// What a recipe sets, is not built and changes no number gives way to what is. One sentence for each that did.
std::vector<std::string> TakeSubstitutes(nlohmann::ordered_json& job);

// UNIMPLEMENTED with one line a key, each naming the value that works instead.
Status CheckSupported(const JobSpec& spec);

}  // namespace ft::recipe
