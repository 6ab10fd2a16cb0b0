// A checkpoint: all that a run needs to go on to the bit. A folder checkpoints/e<epoch>-s<step>/ in the job's run folder with a file for each
// of the job's slices (fp32 weights, and the arrays of the optimizer: <name>.exp_avg, <name>.exp_avg_sq) and manifest.json (step, identity, sizes and
// SHA-256 of the files). Random numbers and data order are functions of the step, so there is nothing else to keep. Slices belong to the model and
// max_ranks, so files do not depend on the number of ranks or on who owns what. docs/formats/checkpoint.md.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/process/attempt_facts.h"
#include "worker/model/weights/model_digest.h"
#include "worker/train/checkpoint/manifest.h"
#include "worker/train/optim/loss_scale.h"
#include "worker/train/shard/trained_state.h"

namespace ft::checkpoint {

// What training goes on from.
struct State {
  shard::TrainedState& trained;
  optim::LossScale& loss_scale;
};

struct Saved {
  std::string path;  // Relative to the run folder.
  std::string manifest_sha256;
  int64_t size_bytes = 0;
};

// checkpoints/e<epoch>-s<step>: a pure function of (job, epoch, step).
std::string CheckpointPath(int64_t epoch, int64_t step);

struct SaveOptions {
  std::filesystem::path run_dir;
  int64_t epoch = 0;
  int64_t step = 0;
  // Called with the bytes that this rank has written so far, every few MiB; see SafetensorsWriter::Progress. May be empty.
  std::function<void(int64_t bytes)> progress;
};

// Rank 0's part: writes beside, fsyncs every file and renames the folder: a reader finds it whole or not at all. Refuses with
// RESOURCE_EXHAUSTED, before it writes, when the file system has less free space than it needs. What other ranks own they write themselves
// where they see the folder, and else it comes from them, a few MiB at a time.
StatusOr<Saved> Save(const SaveOptions& options, const Identity& identity, const State& state);

// The other ranks' part, with the same options. Errors are the communicator's, and those of the files that this rank writes.
Status JoinSave(const SaveOptions& options, const State& state);

struct Resume {
  std::filesystem::path run_dir;
  std::vector<process::CommittedCheckpoint> newest_first;  // Paths are relative to the run folder. Not empty.
  bool allow_numeric_change = false;
  weights::ReadProgress progress;  // While files are read; may be empty.
  // Told of each that was passed over, and which is taken: a sentence. May be empty.
  std::function<void(const std::string& remark)> passed_over;
};

// Rank 0's part: takes the newest checkpoint that is whole and of this job, which every file must show by its manifest, and the manifest
// by its commit; then fills weights, optimizer and loss scale in place, a few MiB at a time, on all ranks. Reads older checkpoints of format 1 too. Returns the step to go on after.
// With none that can be taken it is the newest's error: DATA_LOSS names a damaged file, FAILED_PRECONDITION what differs; nothing was
// changed or exchanged then. A numeric fingerprint that differs is refused at once: an older one would differ in the same way.
StatusOr<int64_t> Load(const Resume& resume, const Identity& identity, const State& state);

// The other ranks' part, so that only rank 0 needs to reach the checkpoint's storage. Errors are the communicator's.
StatusOr<int64_t> JoinLoad(const State& state);

}  // namespace ft::checkpoint
