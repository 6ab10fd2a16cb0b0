// How ranks that each have a part of something bring it together: what the model knows of the ranks of a job.
#pragma once

#include <torch/types.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/base/status.h"
#include "core/plan/slices.h"

namespace ft::params {

// A unit that could not be brought together: a peer has gone, or did not come in time. Thrown through whatever computes with the unit's
// weights, as LibTorch throws what fails there.
class UnitUnavailable : public std::runtime_error {
 public:
  explicit UnitUnavailable(Status status)
      : runtime_error(std::string(Message(status))), status_(std::move(status)) {}
  const Status& status() const { return status_; }

 private:
  Status status_;
};

// Lives on the training thread.
class UnitGatherer {
 public:
  virtual ~UnitGatherer() = default;
  virtual plan::RankOf who() const = 0;
  // Collective: every rank's elements, `counts` of them by rank, end to end into `all`. `own` are this rank's, and may lie in place. Both
  // are contiguous, of one type; `unit` is the name for people. Throws UnitUnavailable.
  virtual void Gather(const std::string& unit, const torch::Tensor& own, std::span<const size_t> counts,
                      const torch::Tensor& all) = 0;
};

class WeightTier;

// What of a model's weights the ranks of a job divide among themselves, and where what a rank has of them rests.
struct WeightDivision {
  UnitGatherer* ranks = nullptr;  // Null: nothing, every rank has all.
  int slices = 1;                 // Of every unit; the ranks divide them.
  // All weights, frozen ones too: a unit is whole on a rank only while it is used, and whoever uses one does so on all ranks at once. Else
  // the float32 values of what is trained, where products read copies of another type, which every rank has.
  bool units = false;
  // Null: where passes compute. Else frozen weights rest there until their unit is used. Outlives the model.
  WeightTier* tier = nullptr;
  // The same of the float32 values of what is trained, where the ranks divide them. Outlives the model.
  WeightTier* values = nullptr;
};

}  // namespace ft::params
