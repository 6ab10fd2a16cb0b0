// Job files before they are sent: from a file, standard input or the arguments of `run`. All are pure but for reading
// the named files. Errors are INVALID_ARGUMENT and name the file and the key.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/status.h"
#include "core/recipe/deepspeed.h"
#include "core/recipe/job_spec.h"

namespace ft::client {

struct JobText {
  std::string yaml;
  std::string file_name;       // For messages.
  std::filesystem::path base;  // Relative paths in the file start here.
  bool has_lines = true;       // False once it is no text that a person wrote: its lines help nobody.
  // Once it is resolved, of a job that starts from a recipe:
  bool from_recipe = false;
  std::string model_config;          // config.json of the recipe's model; empty when it brings none.
  std::vector<std::string> remarks;  // What is otherwise than the recipe says, for people.
  // Once it is resolved, what became of the keys of the file that parallel.deepspeed names.
  std::vector<recipe::DeepspeedKey> deepspeed;
};

// What `ftctl run --model M --data D` says without a job file.
struct QuickJob {
  std::string model;
  std::vector<std::string> data;
  std::string name;  // Empty: the first data file's name without its ending.
};

// `argument` is a path, "-" for standard input, or the name of a recipe where no file has it. A file of data or a model given
// in place of a job file is told by its name and its first bytes, and refused with what to type.
StatusOr<JobText> ReadJobText(const std::string& argument);

// The job file of a quick job; relative paths start at `base`.
JobText QuickJobText(const QuickJob& quick, const std::filesystem::path& base);

// The assignment for --set that `--map input=COLUMN,output=COLUMN[,system=TEXT]` stands for. Columns may hold commas.
StatusOr<std::string> MapAssignment(std::string_view map);

// Puts the recipe that the text starts from under it, applies --set assignments, reads DeepSpeed's file where one is named,
// and parses. What is not built yet passes.
StatusOr<recipe::JobSpec> ResolveJob(JobText& text, const std::vector<std::string>& sets);

// INVALID_ARGUMENT with a line for each setting that is not built yet, and for the model's family where its config.json tells it.
Status RefuseUnbuilt(const JobText& text, const recipe::JobSpec& spec);

// Resolves it and checks everything that can be checked without the coordinator.
StatusOr<recipe::JobSpec> CheckJob(JobText& text, const std::vector<std::string>& sets);

enum class SourceKind { kModel, kAdapter, kData, kBenchmark };

// One place in a job file that names a model, an adapter, data or a benchmark.
struct Source {
  SourceKind kind = SourceKind::kData;
  std::string
      key;  // model.source, method.init_from, data[0].source, train.evaluate.{sets, prompt_files, perplexity}
  std::string value;
};

// Replaces every source by what `rewrite` answers. A text without a change comes back byte for byte; otherwise it is
// written anew as JSON, which is YAML too.
using SourceRewriter = std::function<StatusOr<std::string>(const Source&)>;
StatusOr<std::string> RewriteSources(std::string_view yaml, const SourceRewriter& rewrite);

// Where a source that is a path lies, absolute and without "..".
std::filesystem::path LocalPath(const std::filesystem::path& base, const std::string& source);

// For a coordinator on this machine: every path absolute, and there.
StatusOr<std::string> WithAbsolutePaths(const JobText& text);

}  // namespace ft::client
