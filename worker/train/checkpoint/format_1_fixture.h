// A checkpoint as versions before format 2 wrote it, for tests: two files of whole tensors.
#pragma once

#include <filesystem>
#include <utility>
#include <vector>

#include "core/base/file.h"
#include "core/base/sha256.h"
#include "nlohmann/json.hpp"
#include "worker/device/staging.h"
#include "worker/train/checkpoint/checkpoint.h"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {

// optimizer.safetensors; returns its SHA-256.
inline StatusOr<std::string> WriteFormat1Optimizer(const std::filesystem::path& file,
                                                   shard::TrainedState& trained) {
  std::vector<weights::TensorInfo> infos;
  std::vector<torch::Tensor> values;
  for (int i = 0; i < trained.store().size(); ++i) {
    const plan::TensorRange& range = trained.store().range(i);
    for (const optim::StateTensor& array : trained.optimizer().state()) {
      if (!array.array.IsOf(range.elements)) continue;
      const shard::Piece whole{i, {0, range.elements}, &array};
      const std::vector<int64_t> flat = {whole.items()};
      infos.push_back({StrCat(range.tensor.name, array.array.name), DTypeOf(array.type()),
                       array.array.weights_per_item == 1 ? range.tensor.shape : flat});
      ASSIGN_OR_RETURN(const torch::Tensor read, trained.Read(whole));
      values.push_back(device::Download(read));
    }
  }
  std::vector<weights::TensorData> data;
  for (size_t i = 0; i < infos.size(); ++i) data.push_back({infos[i], device::HostBytes(values[i])});
  return weights::WriteSafetensors(file, data, {});
}

// Of one rank, which has everything. Returns the path below run_dir.
inline StatusOr<std::string> SaveFormat1(const SaveOptions& options, const Identity& identity,
                                         shard::TrainedState& trained) {
  const std::string path = CheckpointPath(options.epoch, options.step);
  const std::filesystem::path dir = options.run_dir / path;
  RETURN_IF_ERROR(MakeDirectories(dir));
  nlohmann::ordered_json files;
  const auto add = [&](const char* name, const std::string& sha256) {
    files[name] = {{"size", std::filesystem::file_size(dir / name)}, {"sha256", sha256}};
  };
  const params::ParameterStore& store = trained.store();
  ASSIGN_OR_RETURN(const std::string values,
                   WriteTensors(dir / kTrainableFile, ValuesOf(store, OwnValues(store)), {}, {}));
  add(kTrainableFile, values);
  ASSIGN_OR_RETURN(const std::string arrays, WriteFormat1Optimizer(dir / kOptimizerFile, trained));
  add(kOptimizerFile, arrays);
  const nlohmann::ordered_json manifest = {{"format", 1},
                                           {"step", options.step},
                                           {"optimizer_steps", trained.optimizer().steps()},
                                           {"identity",
                                            {{"base_sha256", identity.base_sha256},
                                             {"data_sha256", identity.data_sha256},
                                             {"settings_sha256", identity.settings_sha256},
                                             {"numeric_fingerprint", identity.numeric_fingerprint}}},
                                           {"files", files}};
  RETURN_IF_ERROR(WriteFileDurably(dir / kManifestFile, manifest.dump(2) + "\n"));
  return path;
}

}  // namespace ft::checkpoint
