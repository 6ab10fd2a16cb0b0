// What files of a checkpoint have of what is trained: of each slice the pieces of tensors that lie in it, values first, then the arrays of
// the optimizer. A tensor's pieces by rising slices, end to end, are the tensor.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/plan/slices.h"
#include "worker/model/weights/tensor_source.h"
#include "worker/train/shard/trained_state.h"

namespace ft::checkpoint {

// Of the bytes of a piece that are in memory at once.
inline constexpr int64_t kPartBytes = int64_t{4} << 20;

// In the order of the file. They refer to the state's arrays.
std::vector<shard::Piece> PiecesOf(const shard::TrainedState& trained, const plan::Slices& slices, int slice);

// Weights of a tensor that lie in a slice, counted from the tensor's first.
plan::Extent InSlice(const plan::TensorRange& range, const plan::Slices& slices, int slice);

// How files call a piece or the whole that it is of, without a shape.
std::string NameOf(const shard::TrainedState& trained, const shard::Piece& piece);
weights::TensorInfo InfoOf(const shard::TrainedState& trained, const shard::Piece& piece);
int64_t BytesOf(const shard::Piece& piece);

// Calls visit(part) for neighbouring parts of a piece, each of kPartBytes at most.
Status EachPart(const shard::Piece& piece, const std::function<Status(const shard::Piece&)>& visit);

}  // namespace ft::checkpoint
