// Reads a job file. Everything wrong with it is reported at once, each line with file, line, path, and the nearest key.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/job_spec.h"
#include "core/recipe/yaml_tree.h"

namespace ft::recipe {

// INVALID_ARGUMENT whose message has one line a problem: "job.yaml:7: train.lrx: unknown key, did you mean 'lr'?". Without
// lines for a text that no person wrote.
StatusOr<JobSpec> ParseJob(std::string_view yaml, std::string_view file_name, bool with_lines = true);

// The same of a text that was read, and may have been changed since; lines are those of the text.
StatusOr<JobSpec> ParseTree(YamlTree tree, std::string_view file_name, bool with_lines = true);

// Fills `spec` from a JSON tree and adds what is wrong to `problems` (without lines). Keys that are absent keep their
// value. `also_known`: keys at the top that the caller has taken out and that may be meant by one that is unknown.
void ReadTree(const nlohmann::ordered_json& root, JobSpec& spec, std::vector<Problem>& problems,
              const std::set<std::string>& also_known = {});

// INVALID_ARGUMENT with a line for each of tree.problems, in their order in the file. A problem without a line of its own takes
// that of its path.
Status RefusalOf(YamlTree tree, std::string_view file_name, bool with_lines = true);

// What no single key shows: missing model or data, combinations that cannot be.
void CheckWhole(const JobSpec& spec, std::vector<Problem>& problems);

// The known word that differs least, for "did you mean"; empty when none is near.
std::string Nearest(std::string_view word, const std::set<std::string>& known);

// The `count` known words that differ least, nearest first.
std::vector<std::string> NearestOf(std::string_view word, std::vector<std::string> known, size_t count);

// What keeps a text from being a job's name, which people type and commands carry; empty when nothing does.
std::string WrongWithName(std::string_view name);

// "train.optimizer.lr=1e-4" applied to a YAML job file's text, for `--set`; the value is read as YAML. "data.map=..." means
// the only source, "data[1].map=..." one of several.
StatusOr<std::string> WithOverrides(std::string_view yaml, const std::vector<std::string>& assignments);

// The same on a tree.
Status Override(nlohmann::ordered_json& root, const std::vector<std::string>& assignments);

}  // namespace ft::recipe
