#include "worker/data/sample_order.h"

#include <algorithm>
#include <array>

#include "core/base/check.h"

namespace ft::data {
namespace {

// Philox 4x32-10 (Salmon et al., SC'11): the first word of its output block.
uint32_t Philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter[0];
}

int64_t ConsumedBefore(const OrderConfig& config, int64_t step) {
  return (step - 1) * config.micro_batch * config.accumulation;
}

}  // namespace

int64_t Shuffled(uint64_t seed, int64_t epoch, int64_t index, int64_t size) {
  FT_CHECK(index >= 0 && index < size) << index << " of " << size;
  int half_bits = 1;
  while ((int64_t{1} << (2 * half_bits)) < size) ++half_bits;
  const uint32_t mask = half_bits >= 32 ? ~uint32_t{0} : (uint32_t{1} << half_bits) - 1;
  const std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  uint64_t value = static_cast<uint64_t>(index);
  do {
    auto left = static_cast<uint32_t>(value >> half_bits);
    auto right = static_cast<uint32_t>(value & mask);
    for (uint32_t round = 0; round < 6; ++round) {
      const uint32_t mixed = Philox({right, round, static_cast<uint32_t>(epoch), static_cast<uint32_t>(epoch >> 32)}, key);
      const uint32_t next = (left ^ mixed) & mask;
      left = right;
      right = next;
    }
    value = (uint64_t{left} << half_bits) | right;
  } while (value >= static_cast<uint64_t>(size));
  return static_cast<int64_t>(value);
}

int64_t TotalSteps(const OrderConfig& config) {
  if (config.max_steps > 0) return config.max_steps;
  const int64_t per_step = config.micro_batch * config.accumulation;
  return (config.epochs * config.samples + per_step - 1) / per_step;
}

std::vector<std::vector<OrderedSample>> StepSamples(const OrderConfig& config, int64_t step) {
  FT_CHECK(config.samples > 0 && step >= 1) << config.samples << " samples, step " << step;
  const int64_t begin = ConsumedBefore(config, step);
  int64_t end = ConsumedBefore(config, step + 1);
  if (config.max_steps == 0) end = std::min(end, config.epochs * config.samples);
  std::vector<std::vector<OrderedSample>> micro_batches;
  for (int64_t i = begin; i < end; ++i) {
    if ((i - begin) % config.micro_batch == 0) micro_batches.emplace_back();
    const int64_t epoch = i / config.samples;
    const int64_t position = i % config.samples;
    const int64_t index = config.shuffle ? Shuffled(config.seed, epoch, position, config.samples) : position;
    micro_batches.back().push_back({index, static_cast<uint64_t>(i)});
  }
  return micro_batches;
}

}  // namespace ft::data
