#include "worker/train/checkpoint/checkpoint.h"

#include <cerrno>

#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/free_space.h"
#include "core/base/sha256.h"
#include "nlohmann/json.hpp"
#include "worker/device/staging.h"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr const char* kTrainable = "trainable.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kManifest = "manifest.json";

// An array of the optimizer's state as the file has it: whole, of one tensor.
struct StoredArray {
  const optim::StateTensor& array;
  int index = 0;  // Of the tensor.
  weights::TensorInfo info;
};

// In the order of the file.
std::vector<StoredArray> StoredArrays(const shard::TrainedState& trained) {
  const params::ParameterStore& store = trained.store();
  std::vector<StoredArray> stored;
  for (int i = 0; i < store.size(); ++i) {
    const plan::TensorRange& range = store.range(i);
    for (const optim::StateTensor& state : trained.optimizer().state()) {
      const plan::StateArray& array = state.array;
      if (!array.IsOf(range.elements)) continue;
      const bool by_weight = array.weights_per_item == 1;
      const std::vector<int64_t> shape =
          by_weight ? range.tensor.shape : std::vector<int64_t>{array.Items(range.elements)};
      stored.push_back({state, i, {StrCat(store.name(i), array.name), DTypeOf(state.type()), shape}});
    }
  }
  return stored;
}

StatusOr<std::string> WriteOptimizer(const fs::path& path, const State& state,
                                     const weights::SafetensorsWriter::Progress& progress) {
  const std::vector<StoredArray> stored = StoredArrays(state.trained);
  std::vector<weights::TensorInfo> infos;
  for (const StoredArray& one : stored) infos.push_back(one.info);
  ASSIGN_OR_RETURN(weights::SafetensorsWriter writer,
                   weights::SafetensorsWriter::Create(path, infos, {}, progress));
  for (const StoredArray& one : stored) {
    ASSIGN_OR_RETURN(const torch::Tensor whole, state.trained.WholeArray(one.array, one.index));
    const torch::Tensor host = device::Download(whole);
    RETURN_IF_ERROR(writer.Append(device::HostBytes(host)));
  }
  return writer.Finish();
}

// What a checkpoint of this job holds: its trained tensors and the optimizer's arrays.
struct TensorFiles {
  std::unique_ptr<weights::SafetensorsFile> trainable, optimizer;
};

// Opens them, and looks for all that will be read before anything is changed.
StatusOr<TensorFiles> OpenTensorFiles(const fs::path& dir, const shard::TrainedState& trained) {
  TensorFiles files;
  ASSIGN_OR_RETURN(files.trainable, weights::SafetensorsFile::Open(dir / kTrainable));
  ASSIGN_OR_RETURN(files.optimizer, weights::SafetensorsFile::Open(dir / kOptimizer));
  const auto look = [&](const weights::SafetensorsFile& file, const char* name,
                        const weights::TensorInfo& info) {
    const Status found = FindTensor(file, info).status();
    return found.ok() ? found : absl::DataLossError(StrCat((dir / name).string(), ": ", Message(found)));
  };
  for (const plan::TensorRange& range : trained.store().table().ranges())
    RETURN_IF_ERROR(
        look(*files.trainable, kTrainable, {range.tensor.name, weights::DType::kF32, range.tensor.shape}));
  for (const StoredArray& one : StoredArrays(trained))
    RETURN_IF_ERROR(look(*files.optimizer, kOptimizer, one.info));
  return files;
}

// What a checkpoint holds beside tensors.
struct Counts {
  int64_t step = 0;
  int64_t optimizer_steps = 0;
  int64_t good_steps = 0;
  double scale = 1;
};

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

Json IdentityJson(const Identity& identity) {
  return {{"base_sha256", identity.base_sha256},
          {"data_sha256", identity.data_sha256},
          {"settings_sha256", identity.settings_sha256},
          {"numeric_fingerprint", identity.numeric_fingerprint}};
}

// Members of a manifest, which anything may have damaged. What is missing or of another type reads as empty, or as -1, and
// is refused by whoever compares it.
Json ObjectOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : Json::object();
}

std::string StringOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

int64_t CountOf(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<int64_t>() : -1;
}

// A checkpoint that was found whole and of this job.
struct Checked {
  fs::path dir;
  Counts counts;
  std::string numeric_fingerprint;
};

Status Damaged(const fs::path& file, std::string_view how) {
  return absl::DataLossError(StrCat(file.string(), " ", how, ": the checkpoint is damaged"));
}

StatusOr<Json> ReadManifest(const fs::path& dir, const std::string& committed_sha256) {
  const fs::path file = dir / kManifest;
  const StatusOr<std::string> text = ReadFile(file, 1 << 20);
  if (absl::IsNotFound(text.status())) return Damaged(file, "is missing");
  RETURN_IF_ERROR(text.status());
  if (!committed_sha256.empty() && Hex(Sha256Of(*text)) != committed_sha256)
    return Damaged(file, "is not the manifest that was committed");
  Json manifest = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || CountOf(manifest, "format") != kFormat)
    return absl::DataLossError(StrCat(file.string(), " is no checkpoint manifest of format ", kFormat));
  return manifest;
}

Status CheckFiles(const fs::path& dir, const Json& manifest, const weights::ReadProgress& progress) {
  for (const char* name : {kTrainable, kOptimizer}) {
    const Json described = ObjectOf(ObjectOf(manifest, "files"), name);
    std::error_code error;
    const auto size = static_cast<int64_t>(fs::file_size(dir / name, error));
    if (error == std::errc::no_such_file_or_directory) return Damaged(dir / name, "is missing");
    if (error) return ErrnoStatus("read", dir / name, error.value());
    if (const int64_t written = CountOf(described, "size"); size != written)
      return Damaged(dir / name, StrCat("has ", size, " bytes, its manifest says ", written));
    ASSIGN_OR_RETURN(const std::string digest, weights::FileDigest(dir / name, progress));
    if (StringOf(described, "sha256") != digest) return Damaged(dir / name, "differs from its manifest");
  }
  return absl::OkStatus();
}

Status CheckIdentity(const fs::path& dir, const Json& stored, const Identity& identity) {
  const auto differs = [&](const char* key, const std::string& mine) {
    return StringOf(stored, key) != mine;
  };
  const auto refuse = [&](std::string_view what) {
    return absl::FailedPreconditionError(StrCat("checkpoint ", dir.string(), " was made with ", what,
                                                ": submit a new job, or restore what it was made with"));
  };
  if (differs("base_sha256", identity.base_sha256)) return refuse("another base model");
  if (differs("data_sha256", identity.data_sha256)) return refuse("other data");
  if (differs("settings_sha256", identity.settings_sha256)) return refuse("other training settings");
  return absl::OkStatus();
}

Status CheckNumerics(const Checked& checked, const Identity& identity, bool allow_numeric_change) {
  if (allow_numeric_change || checked.numeric_fingerprint == identity.numeric_fingerprint)
    return absl::OkStatus();
  return absl::FailedPreconditionError(
      StrCat("checkpoint ", checked.dir.string(), " was made on '", checked.numeric_fingerprint,
             "', this is '", identity.numeric_fingerprint,
             "': results would differ in the last bits; set allow_numeric_change: true"));
}

StatusOr<Counts> CountsOf(const fs::path& dir, const Json& manifest, bool scales) {
  Counts counts{.step = CountOf(manifest, "step"), .optimizer_steps = CountOf(manifest, "optimizer_steps")};
  if (counts.step < 0 || counts.optimizer_steps < 0) return Damaged(dir / kManifest, "has no step");
  if (!dir.filename().string().ends_with(StrCat("-s", counts.step)))
    return Damaged(dir / kManifest, StrCat("is that of step ", counts.step));
  if (!scales) return counts;
  const Json stored = ObjectOf(manifest, "loss_scale");
  const auto found = stored.find("value");
  counts.scale = found != stored.end() && found->is_number() ? found->get<double>() : 0.0;
  counts.good_steps = CountOf(stored, "good_steps");
  if (!(counts.scale >= 1) || counts.good_steps < 0)
    return absl::DataLossError(StrCat((dir / kManifest).string(), " has no loss scale"));
  return counts;
}

StatusOr<Checked> Check(const Resume& resume, const process::CommittedCheckpoint& checkpoint,
                        const Identity& identity, bool scales) {
  const fs::path dir = resume.run_dir / checkpoint.path;
  ASSIGN_OR_RETURN(const Json manifest, ReadManifest(dir, checkpoint.manifest_sha256));
  const Json made_with = ObjectOf(manifest, "identity");
  RETURN_IF_ERROR(CheckIdentity(dir, made_with, identity));
  ASSIGN_OR_RETURN(const Counts counts, CountsOf(dir, manifest, scales));
  RETURN_IF_ERROR(CheckFiles(dir, manifest, resume.progress));
  return Checked{dir, counts, StringOf(made_with, "numeric_fingerprint")};
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

}  // namespace

std::string CheckpointPath(int64_t epoch, int64_t step) { return StrCat("checkpoints/e", epoch, "-s", step); }

StatusOr<Saved> Save(const SaveOptions& options, const Identity& identity, const State& state) {
  const optim::Optimizer& optimizer = state.trained.optimizer();
  const int64_t epoch = options.epoch, step = options.step;
  const fs::path target = options.run_dir / CheckpointPath(epoch, step);
  const fs::path beside = target.parent_path() / ("." + target.filename().string() + ".tmp");
  std::error_code ignored;
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  const params::ParameterStore& store = state.trained.store();
  uint64_t bytes = 0;
  for (const plan::TensorRange& range : store.table().ranges())
    bytes += sizeof(float) * static_cast<uint64_t>(range.elements);
  for (const StoredArray& one : StoredArrays(state.trained))
    bytes += one.info.elements() * at::elementSize(one.array.type());
  RETURN_IF_ERROR(CheckSpace(beside, bytes + (1 << 20)));
  int64_t before = 0;  // Bytes of the files that are whole.
  const auto progress = [&](int64_t written) {
    if (options.progress) options.progress(before + written);
  };
  ASSIGN_OR_RETURN(
      const std::string trainable,
      WriteTensors(beside / kTrainable, ValuesOf(store, [&](int i) { return state.trained.WholeValue(i); }),
                   {}, progress));
  RETURN_IF_ERROR(state.trained.EndServing());
  before = static_cast<int64_t>(fs::file_size(beside / kTrainable, ignored));
  ASSIGN_OR_RETURN(const std::string arrays, WriteOptimizer(beside / kOptimizer, state, progress));
  Json manifest = {{"format", kFormat},
                   {"step", step},
                   {"optimizer_steps", optimizer.steps()},
                   {"identity", IdentityJson(identity)},
                   {"files",
                    {{kTrainable, {{"size", fs::file_size(beside / kTrainable)}, {"sha256", trainable}}},
                     {kOptimizer, {{"size", fs::file_size(beside / kOptimizer)}, {"sha256", arrays}}}}}};
  if (state.loss_scale.enabled()) {
    manifest["loss_scale"] = {{"value", state.loss_scale.value()},
                              {"good_steps", state.loss_scale.good_steps()}};
  }
  const std::string text = manifest.dump(2) + "\n";
  RETURN_IF_ERROR(WriteFileDurably(beside / kManifest, text));
  fs::remove_all(target, ignored);
  if (::rename(beside.c_str(), target.c_str()) != 0) return ErrnoStatus("rename to", target, errno);
  RETURN_IF_ERROR(SyncDirectory(target.parent_path()));
  return Saved{CheckpointPath(epoch, step), Hex(Sha256Of(text)), static_cast<int64_t>(bytes + text.size())};
}

Status JoinSave(const State& state) {
  RETURN_IF_ERROR(state.trained.ServeValues());
  for (const StoredArray& one : StoredArrays(state.trained))
    RETURN_IF_ERROR(state.trained.WholeArray(one.array, one.index).status());
  return absl::OkStatus();
}

StatusOr<int64_t> JoinLoad(const State& state) {
  RETURN_IF_ERROR(state.trained.ShareValues({}));
  for (const StoredArray& one : StoredArrays(state.trained)) {
    const torch::Tensor whole = torch::empty({static_cast<int64_t>(one.info.elements())}, one.array.type());
    RETURN_IF_ERROR(state.trained.ShareArray(whole, one.array, one.index));
  }
  return ShareCounts(state, /*step=*/0);
}

StatusOr<int64_t> Load(const Resume& resume, const Identity& identity, const State& state) {
  ASSIGN_OR_RETURN(const Checked checked, NewestWhole(resume, identity, state.loss_scale.enabled()));
  RETURN_IF_ERROR(CheckNumerics(checked, identity, resume.allow_numeric_change));
  ASSIGN_OR_RETURN(const TensorFiles files, OpenTensorFiles(checked.dir, state.trained));
  const auto read = [&](const weights::SafetensorsFile& file, const NamedTensor& to) -> Status {
    RETURN_IF_ERROR(ReadTensor(file, to));
    if (resume.progress) resume.progress();
    return absl::OkStatus();
  };
  const params::ParameterStore& store = state.trained.store();
  RETURN_IF_ERROR(state.trained.ShareValues([&](int i) -> StatusOr<torch::Tensor> {
    const torch::Tensor value = torch::empty(store.range(i).tensor.shape, torch::kFloat);
    RETURN_IF_ERROR(read(*files.trainable, {store.name(i), value}));
    return value;
  }));
  for (const StoredArray& one : StoredArrays(state.trained)) {
    const torch::Tensor whole = torch::empty(one.info.shape, one.array.type());
    RETURN_IF_ERROR(read(*files.optimizer, {one.info.name, whole}));
    RETURN_IF_ERROR(state.trained.ShareArray(whole.view({-1}), one.array, one.index));
  }
  state.trained.optimizer().set_steps(checked.counts.optimizer_steps);
  if (state.loss_scale.enabled()) state.loss_scale.Restore(checked.counts.scale, checked.counts.good_steps);
  return ShareCounts(state, checked.counts.step);
}

}  // namespace ft::checkpoint
