#include "worker/train/checkpoint/checkpoint.h"

#include <cerrno>
#include <utility>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/free_space.h"
#include "core/base/sha256.h"
#include "worker/device/staging.h"
#include "worker/train/checkpoint/slice_pieces.h"
#include "worker/train/checkpoint/stored_state.h"
#include "worker/train/checkpoint/write_slices.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;

// Gives rank 0's counts to all. Answers the step.
StatusOr<int64_t> ShareCounts(const State& state, int64_t step) {
  optim::Optimizer& optimizer = state.trained.optimizer();
  Counts counts{step, optimizer.steps(), state.loss_scale.good_steps(), state.loss_scale.value()};
  comm::Comm& comm = state.trained.comm();
  RETURN_IF_ERROR(comm.Broadcast(0, std::as_writable_bytes(std::span(&counts, 1))));
  optimizer.set_steps(counts.optimizer_steps);
  state.loss_scale.Restore(counts.scale, counts.good_steps);
  return counts.step;
}

Status CheckSpace(const fs::path& dir, uint64_t bytes) {
  ASSIGN_OR_RETURN(const uint64_t free, FreeBytes(dir));
  if (free >= bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(StrCat("a checkpoint needs ", bytes, " bytes, ", free, " are free in ",
                                             dir.string(),
                                             ": make room; the previous checkpoint is untouched"));
}

// A checkpoint that was found whole and of this job.
struct Checked {
  fs::path dir;
  Manifest manifest;
};

Status CheckNumerics(const Checked& checked, const Identity& identity, bool allow_numeric_change) {
  const std::string& made_on = checked.manifest.identity.numeric_fingerprint;
  if (allow_numeric_change || made_on == identity.numeric_fingerprint) return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat("checkpoint ", checked.dir.string(), " was made on '", made_on, "', this is '",
             identity.numeric_fingerprint,
             "': results would differ in the last bits; set allow_numeric_change: true"));
}

StatusOr<Checked> Check(const Resume& resume, const process::CommittedCheckpoint& checkpoint,
                        const Identity& identity, bool scales) {
  const fs::path dir = resume.run_dir / checkpoint.path;
  ASSIGN_OR_RETURN(Manifest manifest, ReadManifest(dir, checkpoint.manifest_sha256));
  RETURN_IF_ERROR(CheckIdentity(dir, manifest.identity, identity));
  if (scales && !manifest.has_loss_scale)
    return absl::DataLossError(StrCat((dir / kManifestFile).string(), " has no loss scale"));
  RETURN_IF_ERROR(CheckFiles(dir, manifest, resume.progress));
  return Checked{dir, std::move(manifest)};
}

StatusOr<Checked> NewestWhole(const Resume& resume, const Identity& identity, bool scales) {
  FT_CHECK(!resume.newest_first.empty());
  std::vector<std::string> passed_over;
  Status newest;
  for (const process::CommittedCheckpoint& checkpoint : resume.newest_first) {
    StatusOr<Checked> checked = Check(resume, checkpoint, identity, scales);
    if (checked.ok()) {
      for (const std::string& message : passed_over) {
        if (resume.passed_over)
          resume.passed_over(StrCat(message, "; going on from ", checkpoint.path, " instead"));
      }
      return checked;
    }
    if (passed_over.empty()) newest = checked.status();
    passed_over.emplace_back(Message(checked.status()));
  }
  const size_t older = passed_over.size() - 1;
  return Status(newest.code(), StrCat(Message(newest),
                                      older == 0 ? "; there is no older one"
                                                 : StrCat("; no older one can be taken either, of ", older)));
}

// Where the folder is written before it is renamed.
fs::path BesideOf(const fs::path& target) {
  return target.parent_path() / ("." + target.filename().string() + ".tmp");
}

// What ranks wrote lies in the folder that is about to be renamed.
Status CheckWritten(const fs::path& beside, const std::vector<StoredFile>& files) {
  for (const StoredFile& file : files) {
    std::error_code error;
    const auto size = static_cast<int64_t>(fs::file_size(beside / file.name, error));
    if (error) return ErrnoStatus("find", beside / file.name, error.value());
    if (size != file.size) {
      return absl::DataLossError(
          StrCat((beside / file.name).string(), " has ", size, " bytes, ", file.size, " were written"));
    }
  }
  return absl::OkStatus();
}

// Rank 0's pieces into the state of all ranks; `stored` is null elsewhere.
Status ShareState(const StoredState* stored, const weights::ReadProgress& progress,
                  shard::TrainedState& trained) {
  const plan::Slices& slices = trained.exchange().slices();
  for (int slice = 0; slice < slices.slices(); ++slice) {
    for (const shard::Piece& piece : PiecesOf(trained, slices, slice)) {
      RETURN_IF_ERROR(EachPart(piece, [&](const shard::Piece& part) -> Status {
        const torch::Tensor items = torch::empty({part.items()}, part.type());
        const std::span<std::byte> bytes = device::HostBytes(items);
        if (stored != nullptr) RETURN_IF_ERROR(stored->Read(part, bytes));
        RETURN_IF_ERROR(trained.comm().Broadcast(0, bytes));
        if (progress) progress();
        return trained.Write(part, items);
      }));
    }
  }
  return trained.EndWriting();
}

}  // namespace

std::string CheckpointPath(int64_t epoch, int64_t step) { return StrCat("checkpoints/e", epoch, "-s", step); }

StatusOr<Saved> Save(const SaveOptions& options, const Identity& identity, const State& state) {
  const std::string path = CheckpointPath(options.epoch, options.step);
  const fs::path target = options.run_dir / path, beside = BesideOf(target);
  std::error_code ignored;
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  RETURN_IF_ERROR(CheckSpace(beside, static_cast<uint64_t>(SliceBytes(state.trained)) + (1 << 20)));
  Manifest manifest{.slices = state.trained.exchange().slices().slices(),
                    .counts = {.step = options.step,
                               .optimizer_steps = state.trained.optimizer().steps(),
                               .good_steps = state.loss_scale.good_steps(),
                               .scale = state.loss_scale.value()},
                    .has_loss_scale = state.loss_scale.enabled(),
                    .identity = identity};
  ASSIGN_OR_RETURN(manifest.files, WriteSlices({beside, options.progress}, state.trained));
  RETURN_IF_ERROR(CheckWritten(beside, manifest.files));
  ASSIGN_OR_RETURN(const std::string text, WriteManifest(beside, manifest));
  fs::remove_all(target, ignored);
  if (::rename(beside.c_str(), target.c_str()) != 0) return ErrnoStatus("rename to", target, errno);
  RETURN_IF_ERROR(SyncDirectory(target.parent_path()));
  Saved saved{path, Hex(Sha256Of(text)), static_cast<int64_t>(text.size())};
  for (const StoredFile& file : manifest.files) saved.size_bytes += file.size;
  return saved;
}

Status JoinSave(const SaveOptions& options, const State& state) {
  const fs::path target = options.run_dir / CheckpointPath(options.epoch, options.step);
  return WriteSlices({BesideOf(target), options.progress}, state.trained).status();
}

StatusOr<int64_t> JoinLoad(const State& state) {
  RETURN_IF_ERROR(ShareState(/*stored=*/nullptr, /*progress=*/nullptr, state.trained));
  return ShareCounts(state, /*step=*/0);
}

StatusOr<int64_t> Load(const Resume& resume, const Identity& identity, const State& state) {
  ASSIGN_OR_RETURN(const Checked checked, NewestWhole(resume, identity, state.loss_scale.enabled()));
  RETURN_IF_ERROR(CheckNumerics(checked, identity, resume.allow_numeric_change));
  ASSIGN_OR_RETURN(const StoredState stored, StoredState::Open(checked.dir, checked.manifest, state.trained));
  RETURN_IF_ERROR(ShareState(&stored, resume.progress, state.trained));
  const Counts& counts = checked.manifest.counts;
  state.trained.optimizer().set_steps(counts.optimizer_steps);
  if (state.loss_scale.enabled()) state.loss_scale.Restore(counts.scale, counts.good_steps);
  return ShareCounts(state, counts.step);
}

}  // namespace ft::checkpoint
