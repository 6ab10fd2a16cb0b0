#include "worker/data/cache/batch_sampler.h"

#include <algorithm>
#include <array>
#include <utility>

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

constexpr size_t kOpenRows = 32;  // Rows that samples may go into at a time: the window of the best fit.

struct OpenRow {
  std::vector<OrderedSample> samples;
  int64_t room = 0;
};

}  // namespace

int64_t PermutedIndex(uint64_t seed, int64_t epoch, int64_t index, int64_t size) {
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
      const uint32_t mixed =
          Philox({right, round, static_cast<uint32_t>(epoch), static_cast<uint32_t>(epoch >> 32)}, key);
      const uint32_t next = (left ^ mixed) & mask;
      left = right;
      right = next;
    }
    value = (uint64_t{left} << half_bits) | right;
  } while (value >= static_cast<uint64_t>(size));
  return static_cast<int64_t>(value);
}

BatchSampler::BatchSampler(SamplerConfig config) : config_(std::move(config)) {
  FT_CHECK(config_.samples > 0) << config_.samples << " samples";
  FT_CHECK(rows_per_step() > 0) << config_.micro_batch << " x " << config_.accumulation << " rows a step";
  FT_CHECK(!config_.packing || static_cast<int64_t>(config_.lengths.size()) == config_.samples)
      << config_.lengths.size();
  FT_CHECK(config_.accumulation % config_.ranks == 0) << config_.accumulation << " of " << config_.ranks;
  FT_CHECK(!(config_.whole_epochs && config_.packing));
  total_steps_ = config_.max_steps;
  if (total_steps_ == 0 && config_.whole_epochs) {
    total_steps_ = (total_iterations() + IterationsPerStep() - 1) / IterationsPerStep();
  } else if (total_steps_ == 0) {
    total_steps_ = (RowsOfRun() + rows_per_step() - 1) / rows_per_step();
  }
}

OrderedSample BatchSampler::At(int64_t epoch, int64_t position) const {
  const int64_t index =
      config_.shuffle ? PermutedIndex(config_.seed, epoch, position, config_.samples) : position;
  return {index, static_cast<uint64_t>(epoch * config_.samples + position)};
}

BatchSampler::Packed BatchSampler::Pack(int64_t epoch) const {
  Packed packed{.epoch = epoch};
  std::vector<OpenRow> open;
  const auto close = [&](std::vector<OpenRow>::iterator row) {
    packed.samples.insert(packed.samples.end(), row->samples.begin(), row->samples.end());
    packed.ends.push_back(static_cast<int64_t>(packed.samples.size()));
    open.erase(row);
  };
  const auto less_room = [](const OpenRow& a, const OpenRow& b) { return a.room < b.room; };
  for (int64_t position = 0; position < config_.samples; ++position) {
    const OrderedSample sample = At(epoch, position);
    const int64_t length = config_.lengths[static_cast<size_t>(sample.index)];
    FT_CHECK(length <= config_.row_tokens) << "sample " << sample.index << " has " << length << " tokens";
    auto best = open.end();
    for (auto row = open.begin(); row != open.end(); ++row) {
      if (row->room >= length && (best == open.end() || row->room < best->room)) best = row;
    }
    if (best == open.end()) {
      if (open.size() == kOpenRows) close(std::min_element(open.begin(), open.end(), less_room));
      open.push_back({.room = config_.row_tokens});
      best = open.end() - 1;
    }
    best->samples.push_back(sample);
    best->room -= length;
  }
  while (!open.empty()) close(open.begin());
  return packed;
}

const BatchSampler::Packed& BatchSampler::Rows(int64_t epoch) const {
  if (packed_.epoch != epoch) packed_ = Pack(epoch);
  return packed_;
}

int64_t BatchSampler::RowsBefore(int64_t epoch) const {
  if (!config_.packing) return epoch * config_.samples;
  while (static_cast<int64_t>(rows_before_.size()) <= epoch) {
    const int64_t last = static_cast<int64_t>(rows_before_.size()) - 1;
    rows_before_.push_back(rows_before_.back() + static_cast<int64_t>(Rows(last).ends.size()));
  }
  return rows_before_[static_cast<size_t>(epoch)];
}

std::pair<int64_t, int64_t> BatchSampler::Locate(int64_t row) const {
  if (!config_.packing) return {row / config_.samples, row % config_.samples};
  while (rows_before_.back() <= row) RowsBefore(static_cast<int64_t>(rows_before_.size()));
  const auto after = std::upper_bound(rows_before_.begin(), rows_before_.end(), row);
  const int64_t epoch = after - rows_before_.begin() - 1;
  return {epoch, row - rows_before_[static_cast<size_t>(epoch)]};
}

int64_t BatchSampler::RowsOfRun() const {
  return config_.max_steps > 0 ? INT64_MAX : RowsBefore(config_.epochs);
}

int64_t BatchSampler::total_iterations() const {
  if (config_.max_steps > 0) return config_.max_steps * IterationsPerStep();
  if (config_.whole_epochs) return config_.epochs * IterationsOfEpoch();
  return (RowsOfRun() + RowsOfIteration() - 1) / RowsOfIteration();
}

int64_t BatchSampler::IterationsUpTo(int64_t step) const {
  return std::min(step * IterationsPerStep(), total_iterations());
}

std::vector<OrderedSample> BatchSampler::MicroBatchOf(int64_t iteration, int64_t rank) const {
  const int64_t epoch = iteration / IterationsOfEpoch();
  const int64_t begin = iteration % IterationsOfEpoch() * config_.micro_batch;
  std::vector<OrderedSample> samples;
  for (int64_t i = begin; i < std::min(begin + config_.micro_batch, SamplesOfRank()); ++i)
    samples.push_back(At(epoch, (rank + i * config_.ranks) % config_.samples));
  return samples;
}

std::vector<std::vector<OrderedSample>> BatchSampler::Step(int64_t step) const {
  FT_CHECK(step >= 1 && step <= total_steps_) << step << " of " << total_steps_;
  if (config_.whole_epochs) {
    std::vector<std::vector<OrderedSample>> micro_batches;
    for (int64_t iteration = IterationsUpTo(step - 1); iteration < IterationsUpTo(step); ++iteration) {
      for (int64_t rank = 0; rank < config_.ranks; ++rank)
        micro_batches.push_back(MicroBatchOf(iteration, rank));
    }
    return micro_batches;
  }
  const int64_t begin = (step - 1) * rows_per_step(), end = std::min(begin + rows_per_step(), RowsOfRun());
  std::vector<std::vector<OrderedSample>> micro_batches;
  for (int64_t row = begin; row < end; ++row) {
    if ((row - begin) % config_.micro_batch == 0) micro_batches.emplace_back();
    const auto [epoch, in_epoch] = Locate(row);
    if (!config_.packing) {
      micro_batches.back().push_back(At(epoch, in_epoch));
      continue;
    }
    const Packed& rows = Rows(epoch);
    const auto r = static_cast<size_t>(in_epoch);
    const int64_t first = r == 0 ? 0 : rows.ends[r - 1];
    micro_batches.back().insert(micro_batches.back().end(), rows.samples.begin() + first,
                                rows.samples.begin() + rows.ends[r]);
  }
  return micro_batches;
}

int64_t BatchSampler::SamplesSeen(int64_t step) const {
  if (config_.whole_epochs) {
    const int64_t iterations = IterationsUpTo(step), epoch = iterations / IterationsOfEpoch();
    const int64_t begun = iterations % IterationsOfEpoch() * RowsOfIteration();
    return epoch * config_.samples + std::min(begun, config_.samples);
  }
  const int64_t rows = std::min(step * rows_per_step(), RowsOfRun());
  if (!config_.packing) return rows;
  if (rows == 0) return 0;
  const auto [epoch, in_epoch] = Locate(rows - 1);
  return epoch * config_.samples + Rows(epoch).ends[static_cast<size_t>(in_epoch)];
}

int64_t BatchSampler::EpochsEnded(int64_t step) const {
  if (step == 0) return 0;
  if (config_.whole_epochs) return IterationsUpTo(step) / IterationsOfEpoch();
  const int64_t rows = std::min(step * rows_per_step(), RowsOfRun());
  if (!config_.packing) return rows / config_.samples;
  const auto [epoch, in_epoch] = Locate(rows - 1);
  return in_epoch + 1 == static_cast<int64_t>(Rows(epoch).ends.size()) ? epoch + 1 : epoch;
}

bool BatchSampler::HoldsIteration(int64_t step, int64_t interval) const {
  if (config_.whole_epochs) {
    for (int64_t i = IterationsUpTo(step - 1); i < IterationsUpTo(step); ++i) {
      if ((i % IterationsOfEpoch() + 1) % interval == 0) return true;
    }
    return false;
  }
  const int64_t begin = (step - 1) * rows_per_step(), end = std::min(begin + rows_per_step(), RowsOfRun());
  for (int64_t row = begin; row < end; ++row) {
    if ((Locate(row).second + 1) % (RowsOfIteration() * interval) == 0) return true;
  }
  return false;
}

}  // namespace ft::data
