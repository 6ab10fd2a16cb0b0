#include "core/plan/weight_rest.h"

#include "core/plan/unit_copies.h"

namespace ft::plan {

int64_t OnTier(int64_t bytes) { return (bytes + kTileAlignment - 1) / kTileAlignment * kTileAlignment; }

int64_t WeightsOnTier(const SliceTable& table, const recipe::Sharding& sharding, const RestingShape& shape) {
  int64_t bytes = 0;
  for (const int64_t of_unit : shape.frozen_bytes) {
    const Extent own = shape.trained ? OwnedBytes(of_unit, sharding.slices, shape.who) : Extent{0, of_unit};
    bytes += OnTier(own.end - own.begin);
  }
  if (!shape.trained) return bytes;
  const int64_t values = Share::Of(Slices(table, sharding.slices), shape.who).elements();
  return bytes + OnTier(values * static_cast<int64_t>(sizeof(float)));
}

}  // namespace ft::plan
