// Rows with room behind each, on devices whose products join their terms along the inner size (joined_gemm.h): whoever makes the rows that
// layers with adapters read leaves room for the adapters' columns, so that the product finds [x | m] where x was written, and x is
// copied nowhere.
//
// The room belongs to the rows: the layers that read them write there, one product after another in the order of the stream. Rows with room
// are a tensor of their own, which is no view of another, with a distance between rows; so nobody may make such a tensor in another way
// and give it to layers.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ft::ops {

// The inner size of joined products, and the distance of their rows, in values: 16 bytes of bfloat16, as tensor cores want them.
int64_t PaddedInner(int64_t size);

// Values of room behind rows of so many columns for adapters of so many ranks in all: none in the host's memory, where terms are read
// panel by panel.
int64_t RoomFor(int64_t columns, int64_t ranks, at::Device device);

// Rows x columns, not initialised, with so much room behind each row.
torch::Tensor RowsWithRoom(int64_t rows, int64_t columns, int64_t room, const at::TensorOptions& options);

// The rows with so many values of their room, which `rows_NC` shares with the result; undefined where there is not that much. Writes to the
// result do not count as writes to `rows_NC`, which may be saved for backward.
torch::Tensor WithRoom(const torch::Tensor& rows_NC, int64_t room);

}  // namespace ft::ops
