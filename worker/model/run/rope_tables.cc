#include "worker/model/run/rope_tables.h"

#include <algorithm>
#include <span>
#include <utility>

#include "worker/device/staging.h"

namespace ft::run {
namespace {

using torch::Tensor;

// Unlike angles that are kept: scalings that look at the length have others for every length beyond a model's own.
constexpr size_t kMostKept = 4;

std::span<const int64_t> PositionsOf(const PackedRows& rows, size_t segment) {
  const ops::AttentionSegment& of = rows.segments[segment];
  return std::span(rows.position_N)
      .subspan(static_cast<size_t>(of.first_query), static_cast<size_t>(of.queries));
}

// The tables one behind the other.
ops::RopeTable Joined(const std::vector<const ops::RopeTable*>& tables) {
  if (tables.size() == 1) return *tables[0];
  std::vector<Tensor> cosines, sines;
  for (const ops::RopeTable* table : tables) {
    cosines.push_back(table->cosine_LP);
    sines.push_back(table->sine_LP);
  }
  ops::RopeTable joined = *tables[0];
  joined.cosine_LP = at::cat(cosines);
  joined.sine_LP = at::cat(sines);
  return joined;
}

}  // namespace

RopeTables::Kept RopeTables::Find(const Kept& wanted) {
  const auto found = std::find_if(kept_.begin(), kept_.end(),
                                  [&](const Kept& kept) { return Serves(kept, wanted.length, wanted.mode); });
  Kept made = wanted;
  if (found != kept_.end()) {
    if (found->positions >= wanted.positions) return *found;
    // By half at least, so that a text that grows by a token makes few.
    made.positions = std::max(wanted.positions, found->positions + found->positions / 2);
    kept_.erase(found);
  } else if (kept_.size() == kMostKept) {
    kept_.erase(kept_.begin());
  }
  for (const model::Rotary& rotary : config_.rotaries) {
    ops::RopeTable table = model::MakeRopeTable(config_, rotary, made.positions, made.length, made.mode);
    table.cosine_LP = device::Upload(table.cosine_LP, device_);
    table.sine_LP = device::Upload(table.sine_LP, device_);
    made.tables.push_back(std::move(table));
  }
  return kept_.emplace_back(std::move(made));
}

std::vector<RopeTables::Kept> RopeTables::Wanted(const PackedRows& rows, model::Mode mode,
                                                 std::vector<size_t>& by_segment) const {
  std::vector<Kept> wanted;
  for (size_t i = 0; i < rows.segments.size(); ++i) {
    const std::span<const int64_t> positions = PositionsOf(rows, i);
    const int64_t count = positions.empty() ? 0 : *std::max_element(positions.begin(), positions.end()) + 1;
    const auto alike = std::find_if(wanted.begin(), wanted.end(), [&](const Kept& other) {
      return Serves(other, rows.rope_lengths[i], mode);
    });
    by_segment.push_back(static_cast<size_t>(alike - wanted.begin()));
    if (alike == wanted.end()) {
      wanted.push_back({mode, rows.rope_lengths[i], count});
    } else {
      alike->positions = std::max(alike->positions, count);
    }
  }
  return wanted;
}

std::vector<ops::RopeTable> RopeTables::Of(const PackedRows& rows, model::Mode mode) {
  if (config_.rotaries.empty()) return {};
  std::vector<size_t> by_segment;
  std::vector<Kept> used = Wanted(rows, mode, by_segment);
  std::vector<int64_t> first;  // Position of each, in the tables that are joined.
  int64_t next = 0;
  for (Kept& kept : used) {
    kept = Find(kept);
    first.push_back(next);
    next += kept.positions;
  }
  Tensor position_N = torch::zeros({static_cast<int64_t>(rows.position_N.size())}, torch::kInt32);
  for (size_t i = 0; i < rows.segments.size(); ++i) {
    int32_t* to = position_N.mutable_data_ptr<int32_t>() + rows.segments[i].first_query;
    for (const int64_t position : PositionsOf(rows, i))
      *to++ = static_cast<int32_t>(first[by_segment[i]] + position);
  }
  position_N = device::Upload(position_N, device_);
  std::vector<ops::RopeTable> tables;
  for (size_t rotary = 0; rotary < config_.rotaries.size(); ++rotary) {
    std::vector<const ops::RopeTable*> parts;
    for (const Kept& kept : used) parts.push_back(&kept.tables[rotary]);
    tables.push_back(Joined(parts));
    tables.back().position_N = position_N;
  }
  return tables;
}

}  // namespace ft::run
