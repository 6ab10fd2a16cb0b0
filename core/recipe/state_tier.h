// Where a job wants the optimizer's state to rest while a step does not update it, and weights while no pass reads them. Beside Sharding::Of,
// which refuses, this is the place that reads parallel.offload.
#pragma once

#include <cstdint>

#include "core/recipe/job_spec.h"

namespace ft::recipe {

enum class StateTier : uint8_t {
  kWithWeights,
  kHost,  // In the memory of the device's host. Where a CPU trains that is with the weights.
  kDisk,
  kNextWhereShort,  // With the weights, or where the plan needs more than is there on the next of these.
};

StateTier StateTierOf(const JobSpec& spec);
// Of weights: never kNextWhereShort. What is trained rests with the frozen ones where units come and go: at stage 3, whatever the ranks.
StateTier WeightTierOf(const JobSpec& spec);
bool TrainedWeightsRest(const JobSpec& spec);
// Whether the float32 values of what is trained rest where the optimizer's state does, if products read copies of them: at stages 1 and 2 of a
// job that ranks may divide, whatever runs. Where there is nothing to divide a stage equals 0, and they stay; of a paged optimizer too, whose
// place is known only once the model is loaded. At stage 3 units come and go, and TrainedWeightsRest says it.
bool ValuesRestWithState(const JobSpec& spec);

// Where it rests on a device, or on a CPU. `short_of_room`: the plan needs more memory than is there. Never kNextWhereShort, and kHost
// beside a device only.
StateTier Settled(StateTier wanted, bool on_cpu, bool short_of_room);

}  // namespace ft::recipe
