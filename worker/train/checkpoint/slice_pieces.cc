#include "worker/train/checkpoint/slice_pieces.h"

#include <algorithm>

#include "worker/train/checkpoint/tensor_file.h"

namespace ft::checkpoint {

plan::Extent InSlice(const plan::TensorRange& range, const plan::Slices& slices, int slice) {
  if (range.elements == 0) return {};
  const plan::Extent whole = slices.Slice(range.tensor.unit, slice);
  const auto within = [&](int64_t at) { return std::clamp(at - range.begin, int64_t{0}, range.elements); };
  return {within(whole.begin), within(whole.end)};
}

std::vector<shard::Piece> PiecesOf(const shard::TrainedState& trained, const plan::Slices& slices,
                                   int slice) {
  const params::ParameterStore& store = trained.store();
  std::vector<shard::Piece> pieces, arrays;
  for (int i = 0; i < store.size(); ++i) {
    const plan::Extent weights = InSlice(store.range(i), slices, slice);
    if (weights.begin == weights.end) continue;
    pieces.push_back({i, weights});
    for (const optim::StateTensor& array : trained.optimizer().state()) {
      if (array.array.IsOf(store.range(i).elements)) arrays.push_back({i, weights, &array});
    }
  }
  pieces.insert(pieces.end(), arrays.begin(), arrays.end());
  return pieces;
}

std::string NameOf(const shard::TrainedState& trained, const shard::Piece& piece) {
  return StrCat(trained.store().name(piece.tensor), piece.array == nullptr ? "" : piece.array->array.name);
}

weights::TensorInfo InfoOf(const shard::TrainedState& trained, const shard::Piece& piece) {
  return {NameOf(trained, piece), DTypeOf(piece.type()), {piece.items()}};
}

int64_t BytesOf(const shard::Piece& piece) {
  return piece.items() * static_cast<int64_t>(at::elementSize(piece.type()));
}

Status EachPart(const shard::Piece& piece, const std::function<Status(const shard::Piece&)>& visit) {
  // Whole granules, so that parts begin at items.
  const int64_t most = kPartBytes / static_cast<int64_t>(at::elementSize(piece.type()));
  for (int64_t begin = piece.weights.begin; begin < piece.weights.end; begin += most) {
    shard::Piece part = piece;
    part.weights = {begin, std::min(begin + most, piece.weights.end)};
    RETURN_IF_ERROR(visit(part));
  }
  return absl::OkStatus();
}

}  // namespace ft::checkpoint
