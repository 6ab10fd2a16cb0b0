// Reading once what no cache holds.
#pragma once

#include <cstdint>

namespace ft::kernels {

// How far ahead of what it reads a loop asks for more: memory answers later than a core looks ahead by itself, which is no further than a page.
// Measured with products of few rows (`kernels_nf4_bench`, BM_RowSums): 1 to 4 KiB were slower, 8 KiB was no faster. AdamW's four arrays take 7
// to 13 % less time with it (`bench_optim_bench`).
inline constexpr int64_t kPrefetchedBytes = 6144;

}  // namespace ft::kernels
