#include "worker/train/checkpoint/stored_state.h"

#include <algorithm>
#include <utility>

#include "worker/train/checkpoint/slice_pieces.h"
#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {

StoredState::StoredState(const Manifest& manifest, const shard::TrainedState& trained)
    : trained_(trained),
      is_sliced_(manifest.slices > 0),
      slices_(trained.store().table(), std::max(manifest.slices, 1)) {}

StatusOr<StoredState> StoredState::Open(const std::filesystem::path& dir, const Manifest& manifest,
                                        const shard::TrainedState& trained) {
  StoredState state(manifest, trained);
  for (const StoredFile& stored : manifest.files) {
    File file{.path = dir / stored.name};
    ASSIGN_OR_RETURN(file.tensors, weights::SafetensorsFile::Open(file.path));
    state.files_.push_back(std::move(file));
  }
  RETURN_IF_ERROR(state.is_sliced_ ? state.LookForSlices() : state.LookForWholes());
  return state;
}

Status StoredState::Look(const File& file, const weights::TensorInfo& wanted) {
  const Status found = FindTensor(*file.tensors, wanted).status();
  return found.ok() ? found : absl::DataLossError(StrCat(file.path.string(), ": ", Message(found)));
}

Status StoredState::LookForSlices() const {
  for (int slice = 0; slice < slices_.slices(); ++slice) {
    for (const shard::Piece& piece : PiecesOf(trained_, slices_, slice))
      RETURN_IF_ERROR(Look(files_[static_cast<size_t>(slice)], InfoOf(trained_, piece)));
  }
  return absl::OkStatus();
}

Status StoredState::LookForWholes() const {
  for (const shard::Piece& piece : PiecesOf(trained_, slices_, 0)) {
    weights::TensorInfo whole = InfoOf(trained_, piece);
    if (piece.weights_per_item() == 1) whole.shape = trained_.store().range(piece.tensor).tensor.shape;
    RETURN_IF_ERROR(Look(files_[piece.array == nullptr ? 0 : 1], whole));
  }
  return absl::OkStatus();
}

Status StoredState::ReadFrom(const File& file, const shard::Piece& piece, int64_t begin,
                             std::span<std::byte> out) const {
  const weights::TensorInfo& stored = *file.tensors->Find(NameOf(trained_, piece));  // Looked for in Open.
  shard::Piece before = piece;
  before.weights = {begin, piece.weights.begin};
  return file.tensors->ReadPart(stored, static_cast<uint64_t>(BytesOf(before)), out);
}

Status StoredState::Read(const shard::Piece& piece, std::span<std::byte> out) const {
  if (!is_sliced_) return ReadFrom(files_[piece.array == nullptr ? 0 : 1], piece, 0, out);
  for (int slice = 0; slice < slices_.slices(); ++slice) {
    const plan::Extent stored = InSlice(trained_.store().range(piece.tensor), slices_, slice);
    shard::Piece part = piece;
    part.weights = {std::max(piece.weights.begin, stored.begin), std::min(piece.weights.end, stored.end)};
    if (part.weights.begin >= part.weights.end) continue;
    const auto bytes = static_cast<size_t>(BytesOf(part));
    RETURN_IF_ERROR(ReadFrom(files_[static_cast<size_t>(slice)], part, stored.begin, out.first(bytes)));
    out = out.subspan(bytes);
  }
  return absl::OkStatus();
}

}  // namespace ft::checkpoint
