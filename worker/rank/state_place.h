// Where this rank's optimizer state and its weights rest: as the job asks or, of a paged optimizer, as the plan says.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/plan/state_tiles.h"
#include "core/recipe/state_tier.h"
#include "worker/model/params/weight_tier.h"
#include "worker/rank/attempt.h"
#include "worker/train/offload/tier.h"

namespace ft::rank {

// What a rank may take: `planned` bytes are what it will, `room` what is there. 0 = not known, then there is enough.
struct Room {
  int64_t planned = 0;
  int64_t room = 0;
  bool is_short() const { return room > 0 && planned > room; }
};

struct StatePlace {
  std::unique_ptr<offload::Tier> tier;  // None: with the weights.
  std::vector<std::string> remarks;     // A sentence each, for people.
  std::string warning;                  // Likewise, or nothing.
};

// Takes all of the tier. Errors carry their failure class: CONFIG for a folder that cannot be used, CHECKPOINT_IO for a full disk, HOST_OOM
// for a full host.
// `progress` is called while tiles come and go.
StatusOr<StatePlace> PlaceState(const Attempt& attempt, at::Device device, const Room& room,
                                plan::StateTiles tiles, std::function<void()> progress);

// Weights that no pass reads: what the job says of them.
struct WeightsWanted {
  recipe::StateTier tier = recipe::StateTier::kWithWeights;
  std::string setting;                                   // Of parallel.offload, for people.
  std::function<void()> progress;                        // Called while they come and go.
  std::function<void(const std::string& text)> warning;  // With what a person should know.
};
// Where they rest; null: where passes compute. What is taken of it later, as the model is loaded, has the classes above.
StatusOr<std::unique_ptr<params::WeightTier>> PlaceWeights(const Attempt& attempt, at::Device device,
                                                           WeightsWanted wanted);

}  // namespace ft::rank
