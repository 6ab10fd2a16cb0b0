// THE place that knows DeepSpeed's JSON files: what each of their keys becomes here (docs/zero.md has the table). A file is read where it
// lies, by ftctl; a job that is sent has the settings.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"
#include "nlohmann/json.hpp"

namespace ft::recipe {

// What became of one key of the file.
struct DeepspeedKey {
  std::string path;    // zero_optimization.stage
  std::string value;   // As it stands there.
  std::string became;  // "parallel.zero: 2"; where it has no meaning here, why.
  bool has_meaning = true;
};

struct DeepspeedFile {
  std::vector<DeepspeedKey> keys;    // In the order of the file.
  std::vector<std::string> remarks;  // What is otherwise than the file says: a sentence each.
};

// Puts what the file `text` sets into `job`, the tree of a job file without parallel.deepspeed, whose values with all defaults are
// `spec`. A number that the job says too has to be the same; with XTuner's habits (compat) the job's counts. INVALID_ARGUMENT has a line
// for each key that is wrong, unknown, or not what is built: file, path, and what to do.
StatusOr<DeepspeedFile> TakeDeepspeedFile(std::string_view text, const std::string& file, const JobSpec& spec,
                                          nlohmann::ordered_json& job);

}  // namespace ft::recipe
