// What the data files of a job held when it was sent, in a few words, so that an edited file is noticed later.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/recipe/job_spec.h"

namespace ft::client {

// One word for each source, in order: the beginning of its SHA-256, or "-" where it cannot be read here.
std::string DataDigests(const recipe::JobSpec& spec);

// The sources whose files hold something else than when `digests` was made, or are gone. Empty too when the two do not
// belong together.
std::vector<std::string> ChangedData(const recipe::JobSpec& spec, std::string_view digests);

}  // namespace ft::client
