// One order of adding up a step's gradients.
#pragma once

#include <cstdint>
#include <functional>

#include "core/base/status.h"
#include "worker/model/params/gradient_sink.h"

namespace ft::shard {

// Gives the gradient of a micro-batch to `sink` and returns its loss.
using MicroBatchFunction = std::function<double(int64_t micro_batch, params::GradientSink& sink)>;
// A pass without a micro-batch: exchanges what a pass does and ends its units, of which `sink` gets nothing.
using EmptyPassFunction = std::function<void(params::GradientSink& sink)>;

class GradientSum {
 public:
  virtual ~GradientSum() = default;
  // Sums micro-batches 0..micro_batches-1, of which `micro_batch` is called for this rank's only, in rising order. All ranks run the same
  // number of passes: `empty_pass` is called where others have a micro-batch and this one has none. Afterwards the store's gradient_sums()
  // are the step's, and the answer is the sum of the losses: the same bits on all ranks and whatever their number. Errors are the
  // communicator's; what passes throw goes through.
  virtual StatusOr<double> Run(int64_t micro_batches, const MicroBatchFunction& micro_batch,
                               const EmptyPassFunction& empty_pass) = 0;
};

}  // namespace ft::shard
