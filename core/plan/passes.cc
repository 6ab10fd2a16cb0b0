#include "core/plan/passes.h"

#include <algorithm>
#include <utility>

namespace ft::plan {

std::vector<Visit> TrainingPass(const PassShape& shape) {
  std::vector<Visit> visits;
  for (int unit = 0; unit <= shape.blocks; ++unit) visits.push_back({unit});
  // A head that is the embedding ends with it.
  visits.push_back({shape.head, shape.head != 0});
  for (int unit = shape.blocks; unit >= shape.lowest_block; --unit) visits.push_back({unit, true});
  return visits;
}

std::vector<Visit> ForwardPass(const PassShape& shape) {
  std::vector<Visit> visits;
  for (int unit = 0; unit <= shape.blocks; ++unit) visits.push_back({unit});
  visits.insert(visits.end(), 2, {shape.head});
  return visits;
}

UnitWindow::Change UnitWindow::Use(int unit) {
  Change change;
  if (const auto found = std::find(kept_.begin(), kept_.end(), unit); found != kept_.end()) {
    kept_.erase(found);
  } else {
    change.comes = true;
    if (kept_.size() == kUnits) {
      change.goes = kept_.front();
      kept_.erase(kept_.begin());
    }
  }
  kept_.push_back(unit);
  return change;
}

std::vector<int> UnitWindow::Clear() { return std::exchange(kept_, {}); }

}  // namespace ft::plan
