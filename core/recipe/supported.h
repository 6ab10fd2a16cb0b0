// What the job file can say and this version does not do: refused by name, before anything is stored.
#pragma once

#include "core/base/status.h"
#include "core/recipe/job_spec.h"

namespace ft::recipe {

// UNIMPLEMENTED with one line a key, each naming the value that works instead.
Status CheckSupported(const JobSpec& spec);

}  // namespace ft::recipe
