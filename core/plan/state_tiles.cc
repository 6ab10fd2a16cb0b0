#include "core/plan/state_tiles.h"

#include <algorithm>

#include "core/base/check.h"

namespace ft::plan {
namespace {

constexpr int64_t kArrayAlignment = 64;  // Of an array in its tile: a cache line.

int64_t Up(int64_t bytes, int64_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

// The array's items of the weights that both the tile and the tensor have.
void AddItems(const StateArray& array, const ArrayLayout::Items& of_tensor, int64_t tensor_begin,
              Extent weights, StateTiles::Items& items) {
  const int64_t elements = of_tensor.weights.end - of_tensor.weights.begin;
  const int64_t from = std::max(weights.begin, tensor_begin) - tensor_begin;
  const int64_t to = std::min(weights.end, tensor_begin + elements) - tensor_begin;
  if (of_tensor.count == 0 || from >= to) return;
  const int64_t begin = of_tensor.begin + from / array.weights_per_item;
  if (items.count == 0) items.begin = begin;
  items.count = begin + array.Items(to - from) - items.begin;
}

}  // namespace

StateTiles StateTiles::Of(const SliceTable& table, const Share& share, std::span<const StateArray> arrays,
                          int64_t tile_weights) {
  FT_CHECK(tile_weights > 0 && tile_weights % kGranule == 0);
  StateTiles cut;
  if (arrays.empty()) return cut;
  const ArrayLayout by_weight = ArrayLayout::Of(table, share, {});
  std::vector<ArrayLayout> layouts;
  for (const StateArray& array : arrays) layouts.push_back(ArrayLayout::Of(table, share, array));
  // Tensors in the order of the share, so that each tile looks at its own only.
  std::vector<int> owned;
  for (size_t i = 0; i < table.ranges().size(); ++i) {
    if (by_weight.OfTensor(static_cast<int>(i)).count > 0) owned.push_back(static_cast<int>(i));
  }
  const auto begin_of = [&](int tensor) { return by_weight.OfTensor(tensor).begin; };
  std::sort(owned.begin(), owned.end(), [&](int a, int b) { return begin_of(a) < begin_of(b); });
  for (int64_t begin = 0; begin < share.elements(); begin += tile_weights) {
    Tile tile{.weights = {begin, std::min(begin + tile_weights, share.elements())}, .begin = cut.bytes()};
    // The last tensor that begins before the tile may reach into it.
    auto first = std::upper_bound(owned.begin(), owned.end(), begin,
                                  [&](int64_t at, int tensor) { return at < begin_of(tensor); });
    if (first != owned.begin()) --first;
    int64_t bytes = 0;
    for (size_t a = 0; a < arrays.size(); ++a) {
      Items items{.at = Up(bytes, kArrayAlignment)};
      for (auto i = first; i != owned.end() && begin_of(*i) < tile.weights.end; ++i)
        AddItems(arrays[a], layouts[a].OfTensor(*i), begin_of(*i), tile.weights, items);
      bytes = items.at + items.count * BytesOf(arrays[a].type);
      tile.items.push_back(items);
    }
    tile.bytes = Up(bytes, kTileAlignment);
    cut.tiles_.push_back(std::move(tile));
  }
  return cut;
}

StateTiles StateTiles::OfRank(const SliceTable& table, const recipe::Sharding& sharding, RankOf who,
                              std::span<const StateArray> arrays, int64_t tile_weights) {
  const Share share = sharding.states_sliced ? Share::Of(Slices(table, sharding.slices), who)
                                             : Share::Whole(table.elements());
  return Of(table, share, arrays, tile_weights);
}

int64_t StateTiles::largest() const {
  int64_t largest = 0;
  for (const Tile& tile : tiles_) largest = std::max(largest, tile.bytes);
  return largest;
}

}  // namespace ft::plan
