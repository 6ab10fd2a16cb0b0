// SHA-256 (FIPS 180-4) of many pieces of one size at once, each in a lane of vectors: a single piece is a chain of dependent rounds, and leaves
// plenty of a core idle. Worth it where vectors have 512 bits, which is where this does anything: elsewhere a CPU's own instructions for
// SHA-256, which libraries use, are as fast. The definition is Sha256State (kernels/sha256/sha256_grid.h). Thread-safe.
#pragma once

#include <cstdint>

namespace ft::kernels {

inline constexpr int64_t kSha256Block = 64;  // Bytes.
inline constexpr int64_t kSha256Lanes = 16;

// Whether this CPU has them.
bool HasSha256Lanes();

// digests[32 i, 32 i + 32): that of the `bytes` bytes at pieces[i], for i < kSha256Lanes. REQUIRES: HasSha256Lanes(); `bytes` are whole blocks.
void Sha256OfLanes(const uint8_t* const* pieces, int64_t bytes, uint8_t* digests);

}  // namespace ft::kernels
