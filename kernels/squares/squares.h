// Sums of squares of blocks of 256 values, each in one order: sixteen running sums over every sixteenth value, folded in halves. So a
// norm has the same bits however a vector is divided among threads, and on every device.
#pragma once

#include <cstdint>

namespace ft::kernels {

inline constexpr int64_t kSquaresBlock = 256;
inline constexpr int kSquaresLanes = 16;

inline int64_t SquaresBlocks(int64_t count) { return (count + kSquaresBlock - 1) / kSquaresBlock; }

// sums[b] of the blocks b in [first, last); the last block of all may be short. Zeros behind it change no bit.
void SumsOfSquares(const float* values, int64_t count, int64_t first, int64_t last, float* sums);

}  // namespace ft::kernels
