// SHA-256 (FIPS 180-4) as a kernel body (kernels/grid/grid.h): one thread a leaf, a piece of memory of its own. Hosts have faster ones
// (core/base/sha256.h, and sha256_lanes.h for many pieces at once); this is for memory that only a device reads.
#pragma once

#include <cstdint>

#include "kernels/grid/grid.h"

namespace ft::kernels {

inline constexpr int64_t kLeafBytes =
    4096;  // The largest leaf; all are multiples of four bytes, and begin at one.
inline constexpr int64_t kDigestBytes = 32;

struct Leaf {
  int64_t begin = 0;  // In bytes.
  int64_t bytes = 0;
};

// The digest while it is computed.
class Sha256State {
 public:
  // One block of 64 bytes as sixteen big-endian words.
  FT_HOST_DEVICE void Add(const uint32_t (&block)[16]) {
    uint32_t w[16];
    FT_UNROLL
    for (int i = 0; i < 16; ++i) w[i] = block[i];
    uint32_t v[8];
    FT_UNROLL
    for (int i = 0; i < 8; ++i) v[i] = h_[i];
    FT_UNROLL  // So that words and constants are registers and operands: a thread's own memory is slow.
        for (int round = 0; round < 64; ++round) {
      if (round >= 16) w[round & 15] = Extend(w, round);
      Step(v, Constant(round) + w[round & 15]);
    }
    FT_UNROLL
    for (int i = 0; i < 8; ++i) h_[i] += v[i];
  }
  FT_HOST_DEVICE uint32_t word(int i) const { return h_[i]; }

  // The first 32 bits of the fractions of the cube roots of the first 64 primes.
  FT_HOST_DEVICE static constexpr uint32_t Constant(int round) {
    constexpr uint32_t kConstants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    return kConstants[round];
  }

 private:
  FT_HOST_DEVICE static uint32_t Rotate(uint32_t x, int bits) { return x >> bits | x << (32 - bits); }
  FT_HOST_DEVICE static uint32_t Extend(const uint32_t (&w)[16], int round) {
    const uint32_t a = w[(round + 1) & 15], b = w[(round + 14) & 15];
    return w[round & 15] + (Rotate(a, 7) ^ Rotate(a, 18) ^ a >> 3) + w[(round + 9) & 15] +
           (Rotate(b, 17) ^ Rotate(b, 19) ^ b >> 10);
  }
  FT_HOST_DEVICE static void Step(uint32_t (&v)[8], uint32_t added) {
    const uint32_t t1 = v[7] + (Rotate(v[4], 6) ^ Rotate(v[4], 11) ^ Rotate(v[4], 25)) +
                        ((v[4] & v[5]) ^ (~v[4] & v[6])) + added;
    const uint32_t t2 = (Rotate(v[0], 2) ^ Rotate(v[0], 13) ^ Rotate(v[0], 22)) +
                        ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
    FT_UNROLL
    for (int i = 7; i > 0; --i) v[i] = v[i - 1];
    v[4] += t1;
    v[0] = t1 + t2;
  }
  // The first 32 bits of the fractions of the square roots of the first eight primes.
  uint32_t h_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
};

struct Sha256Body {
  static constexpr int kThreads = 128;
  static constexpr int kPhases = 1;
  using Shared = NoSharedMemory;

  const uint8_t* bytes = nullptr;
  const Leaf* leaves = nullptr;
  int64_t count = 0;           // Of leaves.
  uint8_t* digests = nullptr;  // 32 bytes a leaf.

  template <typename F>
  void Pointers(F f) {
    f(bytes), f(leaves), f(digests);
  }
  FT_HOST_DEVICE int64_t Blocks() const { return BlocksFor(count, kThreads); }

  FT_HOST_DEVICE void Run(int, const GridPoint& at, Shared&) const {
    if (at.index() >= count) return;
    const Leaf leaf = leaves[at.index()];
    const auto* words = reinterpret_cast<const uint32_t*>(bytes + leaf.begin);
    const int64_t size = leaf.bytes / 4;
    Sha256State state;
    int64_t word = 0;
    for (; word + 16 <= size; word += 16) {
      uint32_t block[16];
      FT_UNROLL
      for (int i = 0; i < 16; ++i) block[i] = BigEndian(words[word + i]);
      state.Add(block);
    }
    Finish(words, word, size, state);
    auto* out = reinterpret_cast<uint32_t*>(digests + kDigestBytes * at.index());
    FT_UNROLL
    for (int i = 0; i < 8; ++i) out[i] = BigEndian(state.word(i));
  }

 private:
  FT_HOST_DEVICE static uint32_t BigEndian(uint32_t x) {
    return x << 24 | (x & 0xff00u) << 8 | (x >> 8 & 0xff00u) | x >> 24;
  }
  // The rest, a one bit, and the length in bits at the end of the last block.
  FT_HOST_DEVICE static void Finish(const uint32_t* words, int64_t word, int64_t size, Sha256State& state) {
    const int64_t rest = size - word;
    uint32_t block[16];
    FT_UNROLL
    for (int i = 0; i < 16; ++i)
      block[i] = i < rest ? BigEndian(words[word + i]) : i == rest ? 0x80000000u : 0;
    if (rest >= 14) {
      state.Add(block);
      FT_UNROLL
      for (int i = 0; i < 14; ++i) block[i] = 0;
    }
    const auto bits = static_cast<uint64_t>(size) * 32;
    block[14] = static_cast<uint32_t>(bits >> 32);
    block[15] = static_cast<uint32_t>(bits);
    state.Add(block);
  }
};

}  // namespace ft::kernels
