#include "core/plan/wire.h"

#include <algorithm>

#include "core/plan/unit_copies.h"

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

// Of the copies of all units, once.
int64_t UpdatedCopies(const SliceTable& table, const Slices& slices, RankOf who) {
  int64_t bytes = 0;
  for (int unit = 0; unit < table.units(); ++unit) bytes += CopyBytesOfOthers(table, slices, unit, who);
  return bytes;
}

// Of units that are brought together while they are used. Between two steps none is kept.
int64_t GatheredInPasses(const SliceTable& table, const Slices& slices, RankOf who, int64_t passes,
                         const StepShape& step) {
  const auto received = [&](int unit) {
    const auto at = static_cast<size_t>(unit);
    const int64_t frozen = at < step.frozen_bytes.size() ? step.frozen_bytes[at] : 0;
    const Extent own = OwnedBytes(frozen, slices.slices(), who);
    const int64_t trained = unit < table.units() ? CopyBytesOfOthers(table, slices, unit, who) : 0;
    return trained + frozen - (own.end - own.begin);
  };
  UnitWindow window;
  int64_t bytes = 0;
  for (int64_t pass = 0; pass < passes; ++pass) {
    for (const Visit& visit : TrainingPass(step.pass))
      bytes += window.Use(visit.unit).comes ? received(visit.unit) : 0;
  }
  return bytes;
}

}  // namespace

int64_t PassesOfStep(const recipe::Sharding& sharding, int ranks, int64_t micro_batches) {
  int64_t passes = 0;
  if (sharding.order == recipe::SumOrder::kMicroBatch) {
    VisitGroups(micro_batches, sharding.slices, ranks, [&](int) { ++passes; });
    return passes;
  }
  // A leaf of each rank at a time, as long as the longest of them.
  const int64_t leaves = sharding.slices / ranks;
  for (int64_t leaf = 0; leaf < leaves; ++leaf) {
    int64_t most = 0;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const int64_t at = rank * leaves + leaf;
      most =
          std::max(most, micro_batches * (at + 1) / sharding.slices - micro_batches * at / sharding.slices);
    }
    passes += most;
  }
  return passes;
}

int64_t ReceivedInTreeSum(int64_t count, RankOf who) {
  const int64_t own = count * (who.rank + 1) / who.ranks - count * who.rank / who.ranks;
  return (own * (who.ranks - 1) + count - own) * kFloat;
}

WireBytes WireOfStep(const SliceTable& table, const recipe::Sharding& sharding, RankOf who, StepShape step) {
  WireBytes wire;
  if (who.ranks == 1) return wire;
  const Slices slices(table, sharding.slices);
  const int64_t owned = Share::Of(slices, who).elements();
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
    // Updated weights, or units whenever they are used; sums of squares by block, and digests of gradients and of weights by leaf; and
    // each rank's verdict on the range.
    const int64_t passes = PassesOfStep(sharding, who.ranks, step.micro_batches);
    wire.all_gather += (sharding.weights_sliced ? GatheredInPasses(table, slices, who, passes, step)
                                                : UpdatedCopies(table, slices, who)) +
                       ItemsOfOthers(BlockOwners(slices, kGranule, who.ranks), who.rank) * kFloat +
                       (step.scales_loss ? who.ranks - 1 : 0);
    if (step.digested)
      wire.all_gather += 2 * ItemsOfOthers(GranuleOwners(table, slices, who.ranks), who.rank) * kDigest;
  } else if (!by_step) {
    wire.all_gather += (table.elements() - owned) * kFloat;  // The gradient's other slices.
  }
  return wire;
}

bool DividesValues(const SliceTable& table, const recipe::Sharding& sharding, int ranks) {
  return ranks > 1 && sharding.states_sliced && (sharding.weights_sliced || HasNarrowCopies(table));
}

StateBytes StateOf(const SliceTable& table, const recipe::Sharding& sharding, RankOf who,
                   std::span<const StateArray> arrays) {
  const int64_t whole = table.elements();
  const Share share =
      sharding.states_sliced ? Share::Of(Slices(table, sharding.slices), who) : Share::Whole(whole);
  StateBytes bytes{.values = whole * kFloat,
                   .gradients = (sharding.gradients_sliced ? share.elements() : whole) * kFloat};
  if (DividesValues(table, sharding, who.ranks)) {
    bytes.values = share.elements() * kFloat + (sharding.weights_sliced ? 0 : CopyBytes(table));
  }
  for (const StateArray& array : arrays)
    bytes.moments += ArrayLayout::Of(table, share, array).items() * BytesOf(array.type);
  return bytes;
}

}  // namespace ft::plan
