// Reading once what no cache holds.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hwy/cache_control.h"

namespace ft::kernels {

// How far ahead of what it reads a loop asks for more: memory answers later than a core looks ahead by itself, which is no further than a page.
// Measured with products of few rows (`kernels_nf4_bench`, BM_RowSums): 1 to 4 KiB were slower, 8 KiB was no faster. AdamW's four arrays take 7
// to 13 % less time with it (`bench_optim_bench`).
inline constexpr int64_t kPrefetchedBytes = 6144;

// Asks for so many bytes that far behind `begin`, a cache line after the other. They may lie behind the end of an array.
HWY_INLINE void PrefetchAhead(const void* begin, int64_t bytes) {
  constexpr int64_t kCacheLine = 64;
  for (int64_t i = 0; i < bytes; i += kCacheLine)
    hwy::Prefetch(static_cast<const std::byte*>(begin) + i + kPrefetchedBytes);
}

}  // namespace ft::kernels
