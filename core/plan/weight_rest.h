// What of a rank's weights rests on a tier (parallel.offload), to the byte. Sizes alone.
#pragma once

#include <cstdint>
#include <span>

#include "core/plan/slices.h"
#include "core/plan/state_tiles.h"
#include "core/recipe/sharding.h"

namespace ft::plan {

// What a tier takes for so many bytes: whole pieces of kTileAlignment.
int64_t OnTier(int64_t bytes);

// The weights of one rank.
struct RestingShape {
  RankOf who;
  // What is trained rests too, and units are divided; else the frozen weights of `frozen_bytes` do, all of them on each rank.
  bool trained = false;
  std::span<const int64_t> frozen_bytes;  // By unit, on all ranks together.
};
int64_t WeightsOnTier(const SliceTable& table, const recipe::Sharding& sharding, const RestingShape& shape);

// Of the float32 values of what a rank owns, where they alone rest and copies of them stay: what is held, and what a step moves. An update
// reads and writes all of them, padding included; where the ledger has digests of the step, what is no padding is read again.
TierBytes ValuesOnTier(const SliceTable& table, const recipe::Sharding& sharding, RankOf who, bool digested);

}  // namespace ft::plan
