// Memory as a GPU reads and writes it fastest: 8 or 16 aligned bytes an access.
#pragma once

#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

// They stand for whatever lies at their address.
struct [[gnu::may_alias]] alignas(8) Words8 {
  uint32_t word[2];
};
struct [[gnu::may_alias]] alignas(16) Words16 {
  uint32_t word[4];
};

template <typename Words>
FT_HOST_DEVICE bool IsAligned(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % alignof(Words) == 0;
}

// REQUIRES: IsAligned<Words>(address).
template <typename Words>
FT_HOST_DEVICE Words LoadWords(const void* address) {
  return *static_cast<const Words*>(address);
}
template <typename Words>
FT_HOST_DEVICE void StoreWords(const Words& words, void* address) {
  *static_cast<Words*>(address) = words;
}

}  // namespace ft::kernels
