// Units of a model that a job's ranks divide are brought together over the job's communicator.
#pragma once

#include <functional>

#include "core/base/status.h"
#include "core/recipe/sharding.h"
#include "worker/model/params/unit_gatherer.h"
#include "worker/train/comm/comm.h"

namespace ft::shard {

// Lives on the training thread.
class UnitExchange final : public params::UnitGatherer {
 public:
  // `comm` outlives this.
  explicit UnitExchange(comm::Comm& comm) : comm_(comm) {}

  plan::RankOf who() const override { return {comm_.rank(), comm_.size()}; }
  void Gather(const std::string& unit, const torch::Tensor& own, std::span<const size_t> counts,
              const torch::Tensor& all) override;

 private:
  comm::Comm& comm_;
};

// Where a rank's weights rest that no pass reads.
struct WeightRest {
  params::WeightTier* tier = nullptr;  // Null: nothing is moved.
  bool trained = false;  // What is trained too: its units come and go, on one rank as on several.
  // Null: nothing. Else the float32 values of what is trained alone, if products read copies of them, which stay.
  params::WeightTier* values = nullptr;
};

// What ranks divide of a model's weights, and what rests. REQUIRES: values rest only where states are sliced.
params::WeightDivision DivisionOf(const recipe::Sharding& sharding, UnitExchange& ranks,
                                  WeightRest rest = {});

// What `work` answers, or the error with which a unit could not be brought together.
Status CatchUnavailable(const std::function<Status()>& work);

}  // namespace ft::shard
