// From what a person types to the files of a finished or running job: a job's name or id, its run folder, an adapter's
// folder or a plain model. Names are asked of the coordinator, and without one looked up in the private worker's folder.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "client/session/session.h"

namespace ft::client {

struct RunFolder {
  std::string name;               // For messages.
  std::filesystem::path run_dir;  // Empty for an adapter or model alone.
  std::filesystem::path
      attempt;  // The attempt of the newest result, else the newest; holds job.json. Empty without a run folder.
  // The result: a LoRA adapter, or the whole model of a full fine-tuning. Empty when there is none (yet).
  std::filesystem::path adapter;
  std::string model;  // Source of the base model; empty when not known.
};

// One attempt of a run: its number, its folder, and what its job.json says. Empty where that is damaged or
// not there.
struct Attempt {
  int64_t epoch = 0;
  std::filesystem::path dir;
  std::string kind;  // PREPARE | TRAIN
  std::string name;
  std::string model;
  std::string spec_json;
};

// The attempts of a run folder, newest first.
std::vector<Attempt> AttemptsOf(const std::filesystem::path& run_dir);

// Where the newest job of a name has no result, an earlier one of the name that has one is taken, with a
// remark. INVALID_ARGUMENT for a path that is none of the above; NOT_FOUND when no job has the name;
// FAILED_PRECONDITION when its files are on another machine.
StatusOr<RunFolder> ResolveRunFolder(Session& session, const std::string& argument);

// The same for a path only.
StatusOr<RunFolder> RunFolderAt(const std::filesystem::path& path);

// The newest run under `runs` whose job has this name or id and that has a result, else the newest without.
// NOT_FOUND when there is none.
StatusOr<RunFolder> FindRunByName(const std::filesystem::path& runs, const std::string& name);

// All runs of the private worker, newest first.
std::vector<RunFolder> AllRuns(const Session& session);

// Where the private worker keeps its runs.
std::filesystem::path PrivateRuns(const Session& session);
// Where the private coordinator keeps what the ranks of a run sent.
std::filesystem::path PrivateSpool(const Session& session, const RunFolder& run);

}  // namespace ft::client
