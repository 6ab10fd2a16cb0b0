// What a job trains on one rank among those that run it: gradients' sums and the optimizer's state, of which it has its slices, or all where
// states are not sliced, and float32 values, of which it has all or its slices. Operations are collective and answer the same on all ranks, but for those that
// read and write pieces; whoever calls them need not know how the state is divided.
//
// Lives on the training thread. Errors are the communicator's, and where the optimizer's state is used those of its tier.
#pragma once

#include <torch/types.h>

#include <functional>
#include <memory>
#include <string>

#include "core/base/status.h"
#include "core/recipe/sharding.h"
#include "worker/model/params/parameter_store.h"
#include "worker/train/comm/comm.h"
#include "worker/train/optim/loss_scale.h"
#include "worker/train/optim/optimizer.h"
#include "worker/train/shard/gradient_reducer.h"
#include "worker/train/shard/slice_exchange.h"

namespace ft::shard {

struct Measured {
  double norm = 0;        // Of the gradients without the loss scale.
  bool overflow = false;  // They had left fp16's range with it.
};

// Neighbouring weights of a tensor: their values, or what an array of the optimizer's has of them.
struct Piece {
  int tensor = 0;                             // By its index.
  plan::Extent weights;                       // Counted from the tensor's first.
  const optim::StateTensor* array = nullptr;  // Null: the values.

  int64_t weights_per_item() const { return array == nullptr ? 1 : array->array.weights_per_item; }
  int64_t items() const {
    return (weights.end - weights.begin + weights_per_item() - 1) / weights_per_item();
  }
  at::ScalarType type() const { return array == nullptr ? at::kFloat : array->type(); }
};

class TrainedState {
 public:
  // Tells whoever reads the weights that values have changed.
  using ValuesChanged = std::function<void()>;

  // Makes the optimizer, whose state rests on `tier`, or with none where the store is. `comm` and `store` outlive this.
  TrainedState(
      comm::Comm& comm, const recipe::Sharding& sharding, params::ParameterStore& store,
      const recipe::OptimizerSpec& optimizer, ValuesChanged values_changed = [] {},
      std::unique_ptr<offload::Tier> tier = nullptr);

  params::ParameterStore& store() const { return store_; }
  optim::Optimizer& optimizer() const { return *optimizer_; }
  GradientReducer& reducer() { return reducer_; }
  comm::Comm& comm() { return comm_; }

  // Takes the scale out of the summed gradients, and measures them.
  StatusOr<Measured> Measure(const optim::LossScale& scale);
  // Name of the first tensor (in order) whose gradient has a NaN or an infinity; empty when none has.
  StatusOr<std::string> FirstNonFinite();
  // Clips the gradients of this norm, updates what this rank owns, and gives it to the others where they have it too.
  Status Update(double lr, double norm, double max_norm);

  // Whether this rank has a share only; then the exchange knows whose the rest is.
  bool is_sliced() const { return sliced_; }
  SliceExchange& exchange() { return exchange_; }
  // Elements of tensor `index` whose gradients and state this rank has, counted from the tensor's first, and where they begin in its
  // share.
  plan::Extent OwnedOf(int index) const;
  int64_t InShare(int index) const;

  // Values of this rank, those [part.begin, part.end) of its share, or of all where it has all.
  StatusOr<torch::Tensor> ReadValues(plan::Extent part);
  // Tensor `index` of the values, [its shape], on all ranks.
  StatusOr<torch::Tensor> GatherValue(int index);
  // The same on rank 0, which asks for any in any order and then calls EndServing; meanwhile the other
  // ranks are in ServeValues. Where values are whole on every rank nothing is exchanged.
  StatusOr<torch::Tensor> WholeValue(int index);
  Status ServeValues();
  Status EndServing();

  // Whether every rank has all such pieces; else a rank has those of its slices.
  bool AllHave(const Piece& piece) const;
  // A piece that this rank has, flat, where the store is.
  StatusOr<torch::Tensor> Read(const Piece& piece);
  // Takes of a piece what this rank has of it. `items`: the whole piece's, flat, on any device. REQUIRES: it begins at a granule of the tensor.
  Status Write(const Piece& piece, const torch::Tensor& items);
  // Collective: after the last Write.
  Status EndWriting();

  // Bytes that are held between steps where the weights are, and of the optimizer's state that rests elsewhere.
  plan::StateBytes held() const;
  plan::TierBytes tier_bytes() const { return optimizer_->tier_bytes(); }

 private:
  Status TellOfValues();
  // What rank 0 asks the others for: the index of a tensor, or kNoMore.
  static constexpr int kNoMore = -1;
  Status Ask(int& index);
  // Weights of a piece that this rank has, counted from the tensor's first, and where their items begin among those that it has.
  plan::Extent Held(const Piece& piece) const;
  int64_t FirstItem(const Piece& piece, plan::Extent weights) const;

  comm::Comm& comm_;
  params::ParameterStore& store_;
  const ValuesChanged values_changed_;
  const bool sliced_;
  SliceExchange exchange_;
  GradientReducer reducer_;
  const std::unique_ptr<optim::Optimizer> optimizer_;
};

}  // namespace ft::shard
