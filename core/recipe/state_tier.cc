#include "core/recipe/state_tier.h"

namespace ft::recipe {

StateTier StateTierOf(const JobSpec& spec) {
  if (spec.parallel.offload.optimizer == "cpu") return StateTier::kHost;
  if (spec.parallel.offload.optimizer == "disk") return StateTier::kDisk;
  return spec.train.optimizer.kind == "paged_adamw" ? StateTier::kNextWhereShort : StateTier::kWithWeights;
}

StateTier WeightTierOf(const JobSpec& spec) {
  if (spec.parallel.offload.parameters == "cpu") return StateTier::kHost;
  return spec.parallel.offload.parameters == "disk" ? StateTier::kDisk : StateTier::kWithWeights;
}

bool TrainedWeightsRest(const JobSpec& spec) {
  return spec.parallel.zero == 3 && WeightTierOf(spec) != StateTier::kWithWeights;
}

bool ValuesRestWithState(const JobSpec& spec) {
  const StateTier tier = StateTierOf(spec);
  const bool is_divided = spec.parallel.zero > 0 && MaxRanks(spec.parallel) > 1;
  return is_divided && spec.parallel.zero < 3 && (tier == StateTier::kHost || tier == StateTier::kDisk);
}

StateTier Settled(StateTier wanted, bool on_cpu, bool short_of_room) {
  switch (wanted) {
    case StateTier::kDisk: return StateTier::kDisk;
    case StateTier::kHost: return on_cpu ? StateTier::kWithWeights : StateTier::kHost;
    case StateTier::kNextWhereShort:
      if (short_of_room) return on_cpu ? StateTier::kDisk : StateTier::kHost;
      return StateTier::kWithWeights;
    case StateTier::kWithWeights: break;
  }
  return StateTier::kWithWeights;
}

}  // namespace ft::recipe
