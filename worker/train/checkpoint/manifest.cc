#include "worker/train/checkpoint/manifest.h"

#include <cerrno>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "nlohmann/json.hpp"

namespace ft::checkpoint {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int kWholeTensors = 1, kSlices = 2;  // Formats.

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

Status Damaged(const fs::path& file, std::string_view how) {
  return absl::DataLossError(StrCat(file.string(), " ", how, ": the checkpoint is damaged"));
}

StatusOr<Counts> CountsOf(const fs::path& dir, const Json& manifest) {
  Counts counts{.step = CountOf(manifest, "step"), .optimizer_steps = CountOf(manifest, "optimizer_steps")};
  if (counts.step < 0 || counts.optimizer_steps < 0) return Damaged(dir / kManifestFile, "has no step");
  if (!dir.filename().string().ends_with(StrCat("-s", counts.step)))
    return Damaged(dir / kManifestFile, StrCat("is that of step ", counts.step));
  const Json stored = ObjectOf(manifest, "loss_scale");
  const auto found = stored.find("value");
  counts.scale = found != stored.end() && found->is_number() ? found->get<double>() : 0.0;
  counts.good_steps = CountOf(stored, "good_steps");
  return counts;
}

// The files that a manifest of so many slices has, and what it says of them.
std::vector<StoredFile> FilesOf(const Json& described, int slices) {
  std::vector<std::string> names = {kTrainableFile, kOptimizerFile};
  if (slices > 0) names.clear();
  for (int slice = 0; slice < slices; ++slice) names.push_back(SliceFileName(slice));
  std::vector<StoredFile> files;
  for (std::string& name : names) {
    const Json file = ObjectOf(described, name.c_str());
    files.push_back({std::move(name), CountOf(file, "size"), StringOf(file, "sha256")});
  }
  return files;
}

StatusOr<Json> ReadObject(const fs::path& file, const std::string& sha256) {
  const StatusOr<std::string> text = ReadFile(file, 1 << 20);
  if (absl::IsNotFound(text.status())) return Damaged(file, "is missing");
  RETURN_IF_ERROR(text.status());
  if (!sha256.empty() && Hex(Sha256Of(*text)) != sha256)
    return Damaged(file, "is not the manifest that was committed");
  Json manifest = Json::parse(*text, nullptr, /*allow_exceptions=*/false);
  const int64_t format = manifest.is_object() ? CountOf(manifest, "format") : -1;
  if (format != kWholeTensors && format != kSlices) {
    return absl::DataLossError(
        StrCat(file.string(), " is no checkpoint manifest of format ", kWholeTensors, " or ", kSlices));
  }
  return manifest;
}

}  // namespace

std::string SliceFileName(int slice) {
  std::string number = StrCat(slice);
  if (number.size() < 4) number.insert(0, 4 - number.size(), '0');
  return StrCat("slice-", number, ".safetensors");
}

StatusOr<std::string> WriteManifest(const fs::path& dir, const Manifest& manifest) {
  const Counts& counts = manifest.counts;
  const Identity& identity = manifest.identity;
  Json json = {{"format", kSlices},
               {"step", counts.step},
               {"optimizer_steps", counts.optimizer_steps},
               {"identity",
                {{"base_sha256", identity.base_sha256},
                 {"data_sha256", identity.data_sha256},
                 {"settings_sha256", identity.settings_sha256},
                 {"numeric_fingerprint", identity.numeric_fingerprint}}},
               {"layout", {{"slices", manifest.slices}}}};
  for (const StoredFile& file : manifest.files)
    json["files"][file.name] = {{"size", file.size}, {"sha256", file.sha256}};
  if (manifest.has_loss_scale)
    json["loss_scale"] = {{"value", counts.scale}, {"good_steps", counts.good_steps}};
  std::string text = json.dump(2) + "\n";
  RETURN_IF_ERROR(WriteFileDurably(dir / kManifestFile, text));
  return text;
}

StatusOr<Manifest> ReadManifest(const fs::path& dir, const std::string& sha256) {
  ASSIGN_OR_RETURN(const Json json, ReadObject(dir / kManifestFile, sha256));
  Manifest manifest;
  ASSIGN_OR_RETURN(manifest.counts, CountsOf(dir, json));
  manifest.has_loss_scale = manifest.counts.scale >= 1 && manifest.counts.good_steps >= 0;
  const Json identity = ObjectOf(json, "identity"), files = ObjectOf(json, "files");
  manifest.identity = {StringOf(identity, "base_sha256"), StringOf(identity, "data_sha256"),
                       StringOf(identity, "settings_sha256"), StringOf(identity, "numeric_fingerprint")};
  if (CountOf(json, "format") == kSlices) {
    const int64_t slices = CountOf(ObjectOf(json, "layout"), "slices");
    if (slices < 1 || slices != std::ssize(files))
      return Damaged(dir / kManifestFile, StrCat("has ", slices, " slices and ", files.size(), " files"));
    manifest.slices = static_cast<int>(slices);
  }
  manifest.files = FilesOf(files, manifest.slices);
  return manifest;
}

Status CheckIdentity(const fs::path& dir, const Identity& stored, const Identity& identity) {
  const auto refuse = [&](std::string_view what) {
    return absl::FailedPreconditionError(StrCat("checkpoint ", dir.string(), " was made with ", what,
                                                ": submit a new job, or restore what it was made with"));
  };
  if (stored.base_sha256 != identity.base_sha256) return refuse("another base model");
  if (stored.data_sha256 != identity.data_sha256) return refuse("other data");
  if (stored.settings_sha256 != identity.settings_sha256) return refuse("other training settings");
  return absl::OkStatus();
}

Status CheckFiles(const fs::path& dir, const Manifest& manifest, const weights::ReadProgress& progress) {
  for (const StoredFile& stored : manifest.files) {
    const fs::path file = dir / stored.name;
    std::error_code error;
    const auto size = static_cast<int64_t>(fs::file_size(file, error));
    if (error == std::errc::no_such_file_or_directory) return Damaged(file, "is missing");
    if (error) return ErrnoStatus("read", file, error.value());
    if (size != stored.size)
      return Damaged(file, StrCat("has ", size, " bytes, its manifest says ", stored.size));
    ASSIGN_OR_RETURN(const std::string digest, weights::FileDigest(file, progress));
    if (stored.sha256 != digest) return Damaged(file, "differs from its manifest");
  }
  return absl::OkStatus();
}

}  // namespace ft::checkpoint
