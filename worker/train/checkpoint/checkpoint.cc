#include "worker/train/checkpoint/checkpoint.h"

#include <sys/statvfs.h>

#include <cerrno>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "nlohmann/json.hpp"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr const char* kTrainable = "trainable.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kManifest = "manifest.json";

std::vector<NamedTensor> MomentsOf(const params::ParameterStore& store) {
  std::vector<NamedTensor> tensors;
  for (int i = 0; i < store.size(); ++i) {
    tensors.push_back({store.name(i) + ".exp_avg", store.first_moment(i)});
    tensors.push_back({store.name(i) + ".exp_avg_sq", store.second_moment(i)});
  }
  return tensors;
}

Status CheckSpace(const fs::path& dir, uint64_t bytes) {
  struct statvfs info {};
  if (::statvfs(dir.c_str(), &info) != 0) return ErrnoStatus("ask free space of", dir, errno);
  const uint64_t free = uint64_t{info.f_bavail} * info.f_frsize;
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

StatusOr<Json> ReadManifest(const fs::path& dir) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(dir / kManifest, 1 << 20));
  Json manifest = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!manifest.is_object() || CountOf(manifest, "format") != kFormat) {
    return absl::DataLossError(
        StrCat((dir / kManifest).string(), " is no checkpoint manifest of format ", kFormat));
  }
  return manifest;
}

Status CheckFiles(const fs::path& dir, const Json& manifest, const weights::ReadProgress& progress) {
  for (const char* name : {kTrainable, kOptimizer}) {
    ASSIGN_OR_RETURN(const std::string digest, weights::FileDigest(dir / name, progress));
    if (StringOf(ObjectOf(ObjectOf(manifest, "files"), name), "sha256") != digest) {
      return absl::DataLossError(
          StrCat((dir / name).string(), " differs from its manifest: the checkpoint is damaged"));
    }
  }
  return absl::OkStatus();
}

Status CheckIdentity(const fs::path& dir, const Json& manifest, const Identity& identity,
                     bool allow_numeric_change) {
  const Json stored = ObjectOf(manifest, "identity");
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
  if (differs("numeric_fingerprint", identity.numeric_fingerprint) && !allow_numeric_change) {
    return absl::FailedPreconditionError(
        StrCat("checkpoint ", dir.string(), " was made on '", StringOf(stored, "numeric_fingerprint"),
               "', this is '", identity.numeric_fingerprint,
               "': results would differ in the last bits; set allow_numeric_change: true"));
  }
  return absl::OkStatus();
}

Status RestoreScale(const fs::path& dir, const Json& manifest, optim::LossScale& loss_scale) {
  const Json stored = ObjectOf(manifest, "loss_scale");
  const auto found = stored.find("value");
  const double value = found != stored.end() && found->is_number() ? found->get<double>() : 0.0;
  const int64_t good_steps = CountOf(stored, "good_steps");
  if (!(value >= 1) || good_steps < 0)
    return absl::DataLossError(StrCat(dir.string(), ": manifest.json has no loss scale"));
  loss_scale.Restore(value, good_steps);
  return absl::OkStatus();
}

}  // namespace

std::string CheckpointPath(int64_t epoch, int64_t step) { return StrCat("checkpoints/e", epoch, "-s", step); }

StatusOr<Saved> Save(const SaveOptions& options, const Identity& identity, const State& state) {
  const optim::AdamW& optimizer = state.optimizer;
  const int64_t epoch = options.epoch, step = options.step;
  const fs::path target = options.run_dir / CheckpointPath(epoch, step);
  const fs::path beside = target.parent_path() / ("." + target.filename().string() + ".tmp");
  std::error_code ignored;
  fs::remove_all(beside, ignored);
  RETURN_IF_ERROR(MakeDirectories(beside));
  const params::ParameterStore& store = optimizer.store();
  uint64_t bytes = 0;
  for (int i = 0; i < store.size(); ++i) bytes += 3 * store.value(i).nbytes();
  RETURN_IF_ERROR(CheckSpace(beside, bytes + (1 << 20)));
  int64_t before = 0;  // Bytes of the files that are whole.
  const auto progress = [&](int64_t written) {
    if (options.progress) options.progress(before + written);
  };
  ASSIGN_OR_RETURN(const std::string trainable,
                   WriteTensors(beside / kTrainable, ValuesOf(store), {}, progress));
  before = static_cast<int64_t>(fs::file_size(beside / kTrainable, ignored));
  ASSIGN_OR_RETURN(const std::string moments,
                   WriteTensors(beside / kOptimizer, MomentsOf(store), {}, progress));
  Json manifest = {{"format", kFormat},
                   {"step", step},
                   {"optimizer_steps", optimizer.steps()},
                   {"identity", IdentityJson(identity)},
                   {"files",
                    {{kTrainable, {{"size", fs::file_size(beside / kTrainable)}, {"sha256", trainable}}},
                     {kOptimizer, {{"size", fs::file_size(beside / kOptimizer)}, {"sha256", moments}}}}}};
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

StatusOr<int64_t> Load(const Resume& resume, const Identity& identity, const State& state) {
  optim::AdamW& optimizer = state.optimizer;
  const fs::path dir = resume.run_dir / resume.path;
  ASSIGN_OR_RETURN(const Json manifest, ReadManifest(dir));
  RETURN_IF_ERROR(CheckIdentity(dir, manifest, identity, resume.allow_numeric_change));
  RETURN_IF_ERROR(CheckFiles(dir, manifest, resume.progress));
  const int64_t step = CountOf(manifest, "step"), optimizer_steps = CountOf(manifest, "optimizer_steps");
  if (step < 0 || optimizer_steps < 0) {
    return absl::DataLossError(StrCat((dir / kManifest).string(), " has no step: the checkpoint is damaged"));
  }
  ASSIGN_OR_RETURN(const auto trainable, weights::SafetensorsFile::Open(dir / kTrainable));
  ASSIGN_OR_RETURN(const auto moments, weights::SafetensorsFile::Open(dir / kOptimizer));
  params::ParameterStore& store = optimizer.store();
  const auto read = [&](const weights::SafetensorsFile& file,
                        const std::vector<NamedTensor>& tensors) -> Status {
    for (const NamedTensor& tensor : tensors) {
      RETURN_IF_ERROR(ReadTensor(file, tensor));
      if (resume.progress) resume.progress();
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(read(*trainable, ValuesOf(store)));
  RETURN_IF_ERROR(read(*moments, MomentsOf(store)));
  store.ValuesChanged();
  optimizer.set_steps(optimizer_steps);
  if (state.loss_scale.enabled()) RETURN_IF_ERROR(RestoreScale(dir, manifest, state.loss_scale));
  return step;
}

}  // namespace ft::checkpoint
