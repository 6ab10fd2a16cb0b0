// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): 128 random bits as
// a pure function of a 64-bit key and a 128-bit counter. Nothing is stored, so backward and resumed jobs see
// the same numbers.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/number/bf16.h"

namespace ft::kernels {

struct PhiloxBlock {
  uint32_t word[4];
};

FT_HOST_DEVICE inline PhiloxBlock Philox(uint64_t key, PhiloxBlock counter) {
  uint32_t key_low = static_cast<uint32_t>(key);
  uint32_t key_high = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t{0xD2511F53u} * counter.word[0];
    const uint64_t second = uint64_t{0xCD9E8D57u} * counter.word[2];
    counter = PhiloxBlock{
        {static_cast<uint32_t>(second >> 32) ^ counter.word[1] ^ key_low, static_cast<uint32_t>(second),
         static_cast<uint32_t>(first >> 32) ^ counter.word[3] ^ key_high, static_cast<uint32_t>(first)}};
    key_low += 0x9E3779B9u;
    key_high += 0xBB67AE85u;
  }
  return counter;
}

// One 64-bit key from a job's seed and a step (or any two numbers).
FT_HOST_DEVICE inline uint64_t PhiloxKey(uint64_t seed, uint64_t step) {
  const PhiloxBlock mixed =
      Philox(seed, PhiloxBlock{{static_cast<uint32_t>(step), static_cast<uint32_t>(step >> 32), 0x66746b65u,
                                0x79000000u}});
  return uint64_t{mixed.word[0]} | uint64_t{mixed.word[1]} << 32;
}

// What decides a dropout mask besides the channel. Values are dense, rows x channels.
struct DropoutShape {
  uint64_t key = 0;                   // PhiloxKey(seed, step).
  const uint64_t* sample = nullptr;   // The sample's key, one a row.
  const int64_t* position = nullptr;  // The row's position in its sample, one a row. Below 2^32.
  uint32_t layer = 0;                 // Below 2^12.
  uint32_t site = 0;                  // The layer's input that is dropped; below 2^4.
  int64_t channels = 0;               // At most 2^18.
  float probability = 0;              // The share of zeros; [0, 1).
};

// A value is dropped where its random word is below the threshold.
FT_HOST_DEVICE inline uint32_t DropoutThreshold(const DropoutShape& shape) {
  return static_cast<uint32_t>(static_cast<double>(shape.probability) * 4294967296.0);
}
FT_HOST_DEVICE inline float DropoutFactor(const DropoutShape& shape) {
  return 1.0f / (1.0f - shape.probability);
}

// The counter of the four channels that begin at `channel`, a multiple of 4.
FT_HOST_DEVICE inline PhiloxBlock DropoutCounter(const DropoutShape& shape, int64_t row, int64_t channel) {
  const uint64_t sample = shape.sample[row];
  return PhiloxBlock{{shape.layer << 20 | shape.site << 16 | static_cast<uint32_t>(channel / 4),
                      static_cast<uint32_t>(shape.position[row]), static_cast<uint32_t>(sample),
                      static_cast<uint32_t>(sample >> 32)}};
}

// Dropout of one value: the definition, which the array function below equals bit for bit.
FT_HOST_DEVICE inline float DropoutValue(const DropoutShape& shape, int64_t row, int64_t channel,
                                         float value) {
  const PhiloxBlock random = Philox(shape.key, DropoutCounter(shape, row, channel - channel % 4));
  return value * (random.word[channel % 4] >= DropoutThreshold(shape) ? DropoutFactor(shape) : 0.0f);
}

// y = x / (1 - probability) where kept, else 0, for rows [first, last). Backward is the same call on dy. x
// may equal y.
template <typename T>
void Dropout(const DropoutShape& shape, int64_t first, int64_t last, const T* x, T* y);

}  // namespace ft::kernels
