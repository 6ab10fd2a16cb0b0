#include "core/plan/wire.h"

#include <algorithm>

namespace ft::plan {
namespace {

constexpr int64_t kFloat = 4, kDouble = 8, kDigest = 32;

int64_t ItemsOfOthers(const std::vector<OwnedRun>& runs, int rank) {
  int64_t items = 0;
  for (const OwnedRun& run : runs) items += run.owner == rank ? 0 : run.items;
  return items;
}

// Micro-batches that ranks compute at once in order micro_batch: calls visit(those of one exchange).
template <typename Visit>
void VisitGroups(int64_t micro_batches, int slices, int ranks, const Visit& visit) {
  for (int64_t round = 0; round < micro_batches; round += slices) {
    const int64_t of_round = std::min<int64_t>(slices, micro_batches - round);
    for (int64_t first = 0; first < of_round; first += ranks)
      visit(static_cast<int>(std::min<int64_t>(ranks, of_round - first)));
  }
}

int64_t GradientsByMicroBatch(const SliceTable& table, int64_t owned, int slices, RankOf who,
                              int64_t micro_batches) {
  if (table.elements() == 0) return 0;
  int64_t bytes = 0;
  VisitGroups(micro_batches, slices, who.ranks, [&](int contributors) {
    bytes += owned * kFloat * (contributors - (who.rank < contributors ? 1 : 0));
  });
  return bytes;
}

// The losses of the micro-batches: one number a leaf's subtree, or of each turn.
int64_t Losses(const recipe::Sharding& sharding, RankOf who, int64_t micro_batches) {
  if (sharding.order == recipe::SumOrder::kStep) return kDouble * (who.ranks - 1);
  int64_t turns = 0;
  VisitGroups(micro_batches, sharding.slices, who.ranks, [&](int) { ++turns; });
  return turns * kDouble * (who.ranks - 1);
}

}  // namespace

int64_t ReceivedInTreeSum(int64_t count, RankOf who) {
  const int64_t own = count * (who.rank + 1) / who.ranks - count * who.rank / who.ranks;
  return (own * (who.ranks - 1) + count - own) * kFloat;
}

WireBytes WireOfStep(const SliceTable& table, const recipe::Sharding& sharding, RankOf who, StepShape step) {
  WireBytes wire;
  if (who.ranks == 1) return wire;
  const Slices slices(table, sharding.slices);
  const int64_t owned = Share::Of(slices, who).elements(), others = table.elements() - owned;
  const bool by_step = sharding.order == recipe::SumOrder::kStep;
  if (!by_step) {
    wire.reduce_scatter = GradientsByMicroBatch(table, owned, sharding.slices, who, step.micro_batches);
  } else if (sharding.states_sliced) {
    wire.reduce_scatter = owned * kFloat * (who.ranks - 1);
  } else {
    wire.tree_sum = ReceivedInTreeSum(table.elements(), who);
  }
  wire.all_gather = Losses(sharding, who, step.micro_batches) + 2 * kDouble * (who.ranks - 1);
  if (sharding.states_sliced) {
    // Updated weights, sums of squares by block, and digests of gradients and of weights by leaf; and each rank's verdict on the range.
    wire.all_gather += others * kFloat +
                       ItemsOfOthers(BlockOwners(slices, kGranule, who.ranks), who.rank) * kFloat +
                       (step.scales_loss ? who.ranks - 1 : 0);
    if (step.digested)
      wire.all_gather += 2 * ItemsOfOthers(GranuleOwners(table, slices, who.ranks), who.rank) * kDigest;
  } else if (!by_step) {
    wire.all_gather += others * kFloat;  // The gradient's other slices.
  }
  return wire;
}

StateBytes StateOf(const SliceTable& table, const recipe::Sharding& sharding, RankOf who,
                   std::span<const StateArray> arrays) {
  const int64_t whole = table.elements();
  const Share share =
      sharding.states_sliced ? Share::Of(Slices(table, sharding.slices), who) : Share::Whole(whole);
  StateBytes bytes{.values = whole * kFloat,
                   .gradients = (sharding.gradients_sliced ? share.elements() : whole) * kFloat};
  for (const StateArray& array : arrays)
    bytes.moments += ArrayLayout::Of(table, share, array).items() * BytesOf(array.type);
  return bytes;
}

}  // namespace ft::plan
