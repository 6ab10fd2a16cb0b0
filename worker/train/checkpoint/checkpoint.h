// A checkpoint: all that a run needs to go on to the bit. A folder checkpoints/e<epoch>-s<step>/ in the job's run folder
// with trainable.safetensors (fp32 weights), optimizer.safetensors (<name>.exp_avg, <name>.exp_avg_sq) and manifest.json
// (step, identity, sizes and SHA-256 of the files). Random numbers and data order are functions of the step, so there is
// nothing else to keep. The shard layout does not depend on the number of ranks. docs/formats/checkpoint.md.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/base/status.h"
#include "worker/model/weights/model_digest.h"
#include "worker/train/optim/adamw.h"
#include "worker/train/optim/loss_scale.h"

namespace ft::checkpoint {

// What the weights belong to; resume refuses a checkpoint of another base or other data.
struct Identity {
  std::string base_sha256;      // Digest of the frozen base, or the model a full fine-tuning started from.
  std::string data_sha256;      // Digest of the token cache.
  std::string settings_sha256;  // Digest of the method and train settings that decide the numbers.
  std::string numeric_fingerprint;  // CPU level, library versions, threads, kernels.
};

// What training goes on from.
struct State {
  optim::AdamW& optimizer;
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
  // Called with the checkpoint's bytes so far, every few MiB; see SafetensorsWriter::Progress. May be empty.
  std::function<void(int64_t bytes)> progress;
};

// Writes beside, fsyncs every file and renames the folder: a reader finds it whole or not at all. Refuses with
// RESOURCE_EXHAUSTED, before it writes, when the file system has less free space than it needs.
StatusOr<Saved> Save(const SaveOptions& options, const Identity& identity, const State& state);

struct Resume {
  std::filesystem::path run_dir;
  std::string path;  // Relative to the run folder.
  bool allow_numeric_change = false;
  weights::ReadProgress progress;  // While files are read; may be empty.
};

// Checks every file against the manifest and the identity, then fills weights, moments and loss scale in place. Returns the
// step to go on after. DATA_LOSS names a damaged file, FAILED_PRECONDITION what differs.
StatusOr<int64_t> Load(const Resume& resume, const Identity& identity, const State& state);

}  // namespace ft::checkpoint
