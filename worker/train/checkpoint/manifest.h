// manifest.json of a checkpoint: its files, and what they belong to. A checkpoint is committed by the manifest's SHA-256, and files are checked
// by what the manifest says of them. docs/formats/checkpoint.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "worker/model/weights/model_digest.h"

namespace ft::checkpoint {

// What the weights belong to; resume refuses a checkpoint of another base or other data.
struct Identity {
  std::string base_sha256;      // Digest of the frozen base, or the model a full fine-tuning started from.
  std::string data_sha256;      // Digest of the token cache.
  std::string settings_sha256;  // Digest of the method and train settings that decide the numbers.
  std::string numeric_fingerprint;  // CPU level, library versions, threads, kernels.
};

// What a checkpoint holds beside tensors.
struct Counts {
  int64_t step = 0;
  int64_t optimizer_steps = 0;
  int64_t good_steps = 0;
  double scale = 1;
};

struct StoredFile {
  std::string name;
  int64_t size = 0;    // Bytes; -1: a damaged manifest does not say.
  std::string sha256;  // Hexadecimal.
};

inline constexpr const char* kManifestFile = "manifest.json";
// Of a checkpoint of format 1, which older versions wrote: whole tensors.
inline constexpr const char* kTrainableFile = "trainable.safetensors";
inline constexpr const char* kOptimizerFile = "optimizer.safetensors";
// Of format 2: a file a slice.
std::string SliceFileName(int slice);

struct Manifest {
  int slices = 0;  // 0: format 1.
  Counts counts;
  bool has_loss_scale = false;
  Identity identity;
  std::vector<StoredFile> files;  // In the order of the slices.
};

// Writes manifest.json of format 2, durably. Returns its text.
StatusOr<std::string> WriteManifest(const std::filesystem::path& dir, const Manifest& manifest);

// DATA_LOSS names the file and what is wrong with it: it is missing, is not the one of this SHA-256 (empty: any will do), or says what none
// can of this folder.
StatusOr<Manifest> ReadManifest(const std::filesystem::path& dir, const std::string& sha256);

// FAILED_PRECONDITION where base, data or settings are others.
Status CheckIdentity(const std::filesystem::path& dir, const Identity& stored, const Identity& identity);

// Reads all files. DATA_LOSS names the first that differs from its manifest.
Status CheckFiles(const std::filesystem::path& dir, const Manifest& manifest,
                  const weights::ReadProgress& progress);

}  // namespace ft::checkpoint
