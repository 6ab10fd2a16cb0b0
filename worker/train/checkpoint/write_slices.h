// Writes a checkpoint's files, one a slice. A rank that sees the folder writes those of the slices that it owns, all ranks at once; what others
// own rank 0 writes, a part after the other as it comes to it. So no rank has more in memory of what it does not own than one part.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "core/base/status.h"
#include "worker/train/checkpoint/manifest.h"
#include "worker/train/shard/trained_state.h"

namespace ft::checkpoint {

struct SliceFolder {
  std::filesystem::path path;
  // Called with the bytes that this rank has written so far, every few MiB; see SafetensorsWriter::Progress. May be empty.
  std::function<void(int64_t bytes)> progress;
};

// Bytes of tensors in all files.
int64_t SliceBytes(const shard::TrainedState& trained);

// Collective. REQUIRES: rank 0 has made the folder, which holds nothing that counts. Files are durable afterwards; those of all slices, in
// their order, on rank 0, and nothing elsewhere. Errors are the communicator's, and those of files of the rank that wrote them.
StatusOr<std::vector<StoredFile>> WriteSlices(const SliceFolder& folder, shard::TrainedState& trained);

}  // namespace ft::checkpoint
