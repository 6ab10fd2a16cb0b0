// The SIMD version. This file is compiled once for every instruction set (foreach_target.h includes it again).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sha256/sha256_lanes_cpu.cc"
#include "hwy/foreach_target.h"
// Included after foreach_target.h, as Highway requires.
#include <array>

#include "hwy/highway.h"
#include "kernels/sha256/sha256_grid.h"
#include "kernels/sha256/sha256_lanes.h"

HWY_BEFORE_NAMESPACE();
namespace ft::kernels {
namespace HWY_NAMESPACE {

#if HWY_CAP_GE512

namespace hn = hwy::HWY_NAMESPACE;

using Words = hn::FixedTag<uint32_t, kSha256Lanes>;
using Vector = hn::Vec<Words>;

constexpr int kWords = 16;  // Of a block.
constexpr int kState = 8;

constexpr std::array<uint32_t, 64> Constants() {
  std::array<uint32_t, 64> constants = {};
  for (int round = 0; round < 64; ++round)
    constants[static_cast<size_t>(round)] = Sha256State::Constant(round);
  return constants;
}
constexpr std::array<uint32_t, 64> kConstants = Constants();

// The piece whose words are in a lane: groups of four pieces lie in the order in which Load puts them together.
constexpr int64_t PieceOf(int64_t lane) {
  constexpr int64_t kGroups[] = {0, 2, 1, 3};
  return 4 * kGroups[lane / 4] + lane % 4;
}

// Four words of each of four rows, by rows, to four rows of each word: in every 128 bits on their own.
HWY_INLINE void TransposeInBlocks(Vector* rows) {
  const Words d;
  const hn::Repartition<uint64_t, Words> pairs;
  const auto low_01 = hn::BitCast(pairs, hn::InterleaveLower(d, rows[0], rows[1]));
  const auto low_23 = hn::BitCast(pairs, hn::InterleaveLower(d, rows[2], rows[3]));
  const auto high_01 = hn::BitCast(pairs, hn::InterleaveUpper(d, rows[0], rows[1]));
  const auto high_23 = hn::BitCast(pairs, hn::InterleaveUpper(d, rows[2], rows[3]));
  rows[0] = hn::BitCast(d, hn::InterleaveLower(pairs, low_01, low_23));
  rows[1] = hn::BitCast(d, hn::InterleaveUpper(pairs, low_01, low_23));
  rows[2] = hn::BitCast(d, hn::InterleaveLower(pairs, high_01, high_23));
  rows[3] = hn::BitCast(d, hn::InterleaveUpper(pairs, high_01, high_23));
}

// w[i]: word i, which is stored with its highest byte first, of the blocks that lie `offset` bytes into each piece.
HWY_INLINE void Load(const uint8_t* const* pieces, int64_t offset, Vector* w) {
  const Words d;
  const hn::Repartition<uint8_t, Words> bytes;
  alignas(16) static constexpr uint8_t kReversed[16] = {3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12};
  const auto reversed = hn::LoadDup128(bytes, kReversed);
  Vector rows[kWords];
  HWY_UNROLL(16)
  for (int i = 0; i < kWords; ++i)
    rows[i] = hn::BitCast(d, hn::TableLookupBytes(hn::LoadU(bytes, pieces[i] + offset), reversed));
  for (int group = 0; group < kWords; group += 4) TransposeInBlocks(rows + group);
  // Block b of rows[4 g + j] is word 4 b + j of group g's pieces.
  HWY_UNROLL(4)
  for (int j = 0; j < 4; ++j) {
    const auto low_01 = hn::ConcatLowerLower(d, rows[4 + j], rows[j]);
    const auto low_23 = hn::ConcatLowerLower(d, rows[12 + j], rows[8 + j]);
    const auto high_01 = hn::ConcatUpperUpper(d, rows[4 + j], rows[j]);
    const auto high_23 = hn::ConcatUpperUpper(d, rows[12 + j], rows[8 + j]);
    w[j] = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(low_23), low_01);
    w[4 + j] = hn::OddEvenBlocks(low_23, hn::SwapAdjacentBlocks(low_01));
    w[8 + j] = hn::OddEvenBlocks(hn::SwapAdjacentBlocks(high_23), high_01);
    w[12 + j] = hn::OddEvenBlocks(high_23, hn::SwapAdjacentBlocks(high_01));
  }
}

HWY_INLINE Vector Extended(const Vector* w, int i) {
  const Vector a = w[(i + 1) % kWords], b = w[(i + 14) % kWords];
  const Vector s0 = hn::Xor3(hn::RotateRight<7>(a), hn::RotateRight<18>(a), hn::ShiftRight<3>(a));
  const Vector s1 = hn::Xor3(hn::RotateRight<17>(b), hn::RotateRight<19>(b), hn::ShiftRight<10>(b));
  return hn::Add(hn::Add(w[i], s0), hn::Add(w[(i + 9) % kWords], s1));
}

// One round: what are a to h of the standard are v[(0 - round) % 8] to v[(7 - round) % 8], so that nothing is moved.
HWY_INLINE void Step(Vector* v, int round, Vector added) {
  const auto at = [&](int i) HWY_ATTR -> Vector& { return v[(i + kWords * 4 - round) % kState]; };
  const Vector a = at(0), b = at(1), c = at(2), e = at(4), f = at(5), g = at(6);
  const Vector s1 = hn::Xor3(hn::RotateRight<6>(e), hn::RotateRight<11>(e), hn::RotateRight<25>(e));
  const Vector s0 = hn::Xor3(hn::RotateRight<2>(a), hn::RotateRight<13>(a), hn::RotateRight<22>(a));
  const Vector t1 = hn::Add(hn::Add(at(7), added), hn::Add(s1, hn::IfVecThenElse(e, f, g)));
  const Vector majority = hn::IfVecThenElse(hn::Xor(a, b), c, b);
  at(3) = hn::Add(at(3), t1);
  at(7) = hn::Add(t1, hn::Add(s0, majority));
}

// The state goes on with a block.
HWY_INLINE void AddBlock(Vector* w, Vector* state) {
  const Words d;
  Vector v[kState];
  for (int i = 0; i < kState; ++i) v[i] = state[i];
  for (int first = 0; first < 64; first += kWords) {
    HWY_UNROLL(16)
    for (int i = 0; i < kWords; ++i) {
      if (first > 0) w[i] = Extended(w, i);
      Step(v, i, hn::Add(w[i], hn::Set(d, kConstants[static_cast<size_t>(first + i)])));
    }
  }
  for (int i = 0; i < kState; ++i) state[i] = hn::Add(state[i], v[i]);
}

void OfLanes(const uint8_t* const* pieces, int64_t bytes, uint8_t* digests) {
  const Words d;
  Vector state[kState], w[kWords];
  for (int i = 0; i < kState; ++i) state[i] = hn::Set(d, Sha256State().word(i));
  for (int64_t offset = 0; offset < bytes; offset += kSha256Block) {
    Load(pieces, offset, w);
    AddBlock(w, state);
  }
  // Behind whole blocks: a one bit, and the length in bits.
  for (int i = 0; i < kWords; ++i) w[i] = hn::Zero(d);
  const auto bits = static_cast<uint64_t>(bytes) * 8;
  w[0] = hn::Set(d, uint32_t{0x80000000});
  w[14] = hn::Set(d, static_cast<uint32_t>(bits >> 32));
  w[15] = hn::Set(d, static_cast<uint32_t>(bits));
  AddBlock(w, state);
  alignas(64) uint32_t words[kState][kSha256Lanes];
  for (int i = 0; i < kState; ++i) hn::Store(state[i], d, words[i]);
  for (int64_t lane = 0; lane < kSha256Lanes; ++lane) {
    uint8_t* out = digests + kDigestBytes * PieceOf(lane);
    for (int i = 0; i < kState; ++i) {
      for (int byte = 0; byte < 4; ++byte) *out++ = static_cast<uint8_t>(words[i][lane] >> (24 - 8 * byte));
    }
  }
}

bool Has() { return true; }

#else

void OfLanes(const uint8_t* const*, int64_t, uint8_t*) {}

bool Has() { return false; }

#endif

}  // namespace HWY_NAMESPACE
}  // namespace ft::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ft::kernels {

HWY_EXPORT(OfLanes);
HWY_EXPORT(Has);

bool HasSha256Lanes() { return HWY_DYNAMIC_DISPATCH(Has)(); }

void Sha256OfLanes(const uint8_t* const* pieces, int64_t bytes, uint8_t* digests) {
  HWY_DYNAMIC_DISPATCH(OfLanes)(pieces, bytes, digests);
}

}  // namespace ft::kernels
#endif  // HWY_ONCE
