// The tensors of a checkpoint, of either format, open for reading by pieces.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "core/base/status.h"
#include "worker/model/weights/safetensors.h"
#include "worker/train/checkpoint/manifest.h"
#include "worker/train/shard/trained_state.h"

namespace ft::checkpoint {

class StoredState {
 public:
  // DATA_LOSS names a file that lacks something of what `trained` will ask for. `trained` outlives this.
  static StatusOr<StoredState> Open(const std::filesystem::path& dir, const Manifest& manifest,
                                    const shard::TrainedState& trained);

  // The items of a piece, [piece.items()] of its type.
  Status Read(const shard::Piece& piece, std::span<std::byte> out) const;

 private:
  struct File {
    std::filesystem::path path;
    std::unique_ptr<weights::SafetensorsFile> tensors;
  };

  StoredState(const Manifest& manifest, const shard::TrainedState& trained);
  Status LookForSlices() const;
  Status LookForWholes() const;
  // DATA_LOSS where the file has nothing of that name, type and shape.
  static Status Look(const File& file, const weights::TensorInfo& wanted);
  // Items of a piece of which the file has those from weight `begin` on.
  Status ReadFrom(const File& file, const shard::Piece& piece, int64_t begin, std::span<std::byte> out) const;

  const shard::TrainedState& trained_;
  const bool is_sliced_;
  const plan::Slices slices_;  // Of the files, where they are slices.
  std::vector<File> files_;    // As the manifest has them.
};

}  // namespace ft::checkpoint
