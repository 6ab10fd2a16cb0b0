// What the job file can say and this version does not do: refused by name, before anything is stored.
#pragma once

#include <span>
#include <string_view>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"

namespace ft::recipe {

// The families of models that are built, by model_type of config.json.
std::span<const std::string_view> Families();

// UNIMPLEMENTED for any other, with the nearest.
Status CheckFamily(std::string_view model_type);

// UNIMPLEMENTED with one line a key, each naming the value that works instead.
Status CheckSupported(const JobSpec& spec);

}  // namespace ft::recipe
