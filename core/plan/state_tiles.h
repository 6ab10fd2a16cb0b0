// How an optimizer's state is cut where it rests away from the weights: tiles of neighbouring weights of a share, each with its items of every
// array end to end, so that a tile is one read and one write. What a step moves follows from it, to the byte. Sizes alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/plan/optimizer_state.h"
#include "core/recipe/sharding.h"

namespace ft::plan {

// Tiles begin and end at multiples of it: what reading and writing past the page cache asks of offsets, lengths and addresses.
inline constexpr int64_t kTileAlignment = 4096;
// Weights of a tile: AdamW's two moments of them are 4 MiB, those of 8 bits 1 MiB and their scales.
inline constexpr int64_t kTileWeights = int64_t{1} << 19;

// Bytes of state on a tier: what is there, and what went each way so far.
struct TierBytes {
  int64_t held = 0;
  int64_t read = 0;
  int64_t written = 0;

  bool operator==(const TierBytes&) const = default;
};

class StateTiles {
 public:
  // The items of an array that are a tile's, and where they begin in its bytes. None where the tile has no tensor of which it is kept.
  struct Items {
    int64_t begin = 0;  // In the array.
    int64_t count = 0;
    int64_t at = 0;  // Bytes.
  };
  struct Tile {
    Extent weights;            // In the share.
    std::vector<Items> items;  // By array.
    int64_t begin = 0;         // Of its bytes, among those of all tiles.
    int64_t bytes = 0;
  };

  // REQUIRES: tile_weights > 0, a multiple of kGranule, at which every array's items begin.
  static StateTiles Of(const SliceTable& table, const Share& share, std::span<const StateArray> arrays,
                       int64_t tile_weights = kTileWeights);
  // Of what a rank owns.
  static StateTiles OfRank(const SliceTable& table, const recipe::Sharding& sharding, RankOf who,
                           std::span<const StateArray> arrays, int64_t tile_weights = kTileWeights);

  // In the order of the share. None where there are no arrays, or nothing is owned.
  std::span<const Tile> tiles() const { return tiles_; }
  // Of all tiles.
  int64_t bytes() const { return tiles_.empty() ? 0 : tiles_.back().begin + tiles_.back().bytes; }
  // Of the largest.
  int64_t largest() const;
  // What is held after `steps` updates, and went each way in them: a step reads and writes each tile once.
  TierBytes AfterSteps(int64_t steps) const { return {bytes(), steps * bytes(), steps * bytes()}; }

 private:
  std::vector<Tile> tiles_;
};

}  // namespace ft::plan
