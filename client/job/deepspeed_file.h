// parallel.deepspeed of a job file, and `--deepspeed` in its place: one of the five names, or a JSON file of DeepSpeed's that is read
// where it lies.
#pragma once

#include <string>
#include <vector>

#include "client/job/job_file.h"
#include "core/base/status.h"
#include "core/recipe/yaml_tree.h"

namespace ft::client {

// What to add to --set for `--deepspeed NAME_OR_FILE`: it takes the place of the job's own parallel.deepspeed. A file's path is taken
// from the current folder on.
StatusOr<std::vector<std::string>> DeepspeedAssignments(const std::string& name);

// Where `tree`, which is that of `text`, names a file of DeepSpeed's, what the file sets takes the place of its name in both, and `text`
// has what became of its keys. INVALID_ARGUMENT with the job file's line and the file's path for each key that is wrong.
Status TakeDeepspeedFileOf(JobText& text, recipe::YamlTree& tree);

}  // namespace ft::client
