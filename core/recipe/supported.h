// What the job file can say and this version does not do: refused by name, before anything is stored.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"
#include "nlohmann/json.hpp"

namespace ft::recipe {

// What a recipe sets, is not built and changes no number gives way to what is. One sentence for each that did.
std::vector<std::string> TakeSubstitutes(nlohmann::ordered_json& job);

// UNIMPLEMENTED for the families of XTuner's base models (`model_type` of config.json) that are not built yet. A family that is
// unknown here passes: who reads the model answers for it.
Status CheckFamily(std::string_view model_type);

// UNIMPLEMENTED with one line a key, each naming the value that works instead.
Status CheckSupported(const JobSpec& spec);

}  // namespace ft::recipe
