#include "core/plan/weight_rest.h"

#include <algorithm>

#include "core/plan/unit_copies.h"

namespace ft::plan {
namespace {

constexpr int64_t kFloat = sizeof(float);

}  // namespace

int64_t OnTier(int64_t bytes) { return (bytes + kTileAlignment - 1) / kTileAlignment * kTileAlignment; }

int64_t WeightsOnTier(const SliceTable& table, const recipe::Sharding& sharding, const RestingShape& shape) {
  int64_t bytes = 0;
  for (const int64_t of_unit : shape.frozen_bytes) {
    const Extent own = shape.trained ? OwnedBytes(of_unit, sharding.slices, shape.who) : Extent{0, of_unit};
    bytes += OnTier(own.end - own.begin);
  }
  if (!shape.trained) return bytes;
  const int64_t values = Share::Of(Slices(table, sharding.slices), shape.who).elements();
  return bytes + OnTier(values * kFloat);
}

TierBytes ValuesOnTier(const SliceTable& table, const recipe::Sharding& sharding, RankOf who, bool digested) {
  const Slices slices(table, sharding.slices);
  const int64_t updated = Share::Of(slices, who).elements() * kFloat;
  TierBytes bytes{.held = OnTier(updated), .read = updated, .written = updated};
  for (const TensorRange& range : table.ranges()) {
    const Extent owned = slices.Owned(range.tensor.unit, who);
    const int64_t begin = std::max(owned.begin, range.begin);
    const int64_t end = std::min(owned.end, range.begin + range.elements);
    if (digested) bytes.read += std::max(end - begin, int64_t{0}) * kFloat;
  }
  return bytes;
}

}  // namespace ft::plan
