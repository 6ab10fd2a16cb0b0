// What makes new weights of summed gradients, of one of the kinds that train.optimizer.kind names. An update is elementwise, or by blocks of
// plan::kGranule weights, so its bits do not depend on threads, on where the share of a rank begins, or on the parts that its state comes in.
// Whoever keeps, sends or counts an optimizer's state goes through its arrays and need not know the kind, or where they rest.
#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/plan/optimizer_state.h"
#include "core/recipe/job_spec.h"
#include "worker/model/params/parameter_store.h"
#include "worker/train/offload/state_arrays.h"

namespace ft::optim {

// An array of the state, as far as it belongs to the store's share.
struct StateTensor {
  plan::StateArray array;
  plan::ArrayLayout layout;
  size_t index = 0;  // Among those of the kind.
  at::ScalarType type() const { return offload::ScalarTypeOf(array.type); }
};

// One thread.
class Optimizer {
 public:
  // The store outlives it, and keeps the share that it has. The state rests on `tier`, whose tiles are those of the share and the kind, or
  // with none where the store is. It is zeros at first.
  static std::unique_ptr<Optimizer> Of(const recipe::OptimizerSpec& spec, params::ParameterStore& store,
                                       std::unique_ptr<offload::Tier> tier = nullptr);
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update of the values of the store's share with learning rate `lr`, from its summed gradients as they are. Errors are those of the
  // tier: then values and state are of no step.
  Status Step(double lr);

  // Updates done so far: the t of AdamW's bias correction. Set by resume, after the state was filled.
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }
  std::span<const StateTensor> state() const { return state_; }
  // Items of an array, where the store is, valid until the next step; and the other way, from item `begin` on.
  StatusOr<torch::Tensor> ReadItems(const StateTensor& array, plan::Extent items) const;
  Status WriteItems(const StateTensor& array, int64_t begin, const torch::Tensor& items);
  // Of the state where the store is, and of what rests elsewhere.
  int64_t state_bytes() const { return arrays_->resident_bytes(); }
  plan::TierBytes tier_bytes() const { return arrays_->tier_bytes(); }

 protected:
  Optimizer(const recipe::OptimizerSpec& spec, params::ParameterStore& store,
            std::unique_ptr<offload::Tier> tier);

  // Neighbouring weights that this rank owns.
  struct Stretch {
    plan::Extent whole;
    int64_t in_share = 0;  // Where they begin in the share.
    double ratio = 1;      // What their rate is multiplied by.
  };
  // All of them in their order, each as long as can be, padding included.
  std::vector<Stretch> Stretches() const;
  // Those of a tensor, without padding; empty where this rank has none.
  Stretch OfTensor(int index) const;
  // What of it lies in a part of the share; nothing where none does.
  static Stretch Within(const Stretch& stretch, plan::Extent weights);

  const recipe::OptimizerSpec& spec() const { return spec_; }
  const params::ParameterStore& store() const { return store_; }
  // Views, of the part that is updated.
  torch::Tensor Values(const Stretch& stretch) const;
  torch::Tensor Gradients(const Stretch& stretch) const;

 private:
  // Updates the part's weights.
  virtual void Update(const offload::StatePart& part, double lr) = 0;
  // The same where values rest on a tier: a tile of them comes, is updated, and goes back.
  void UpdateResting(const offload::StatePart& part, double lr);
  // LoRA+ (Hayou et al., arXiv 2402.12354): adapters' B learn at a rate of their own.
  double RatioOf(int index) const;

  const recipe::OptimizerSpec spec_;
  params::ParameterStore& store_;
  const plan::ArrayLayout owned_;  // Of one item a weight: the share, by tensors.
  const std::vector<StateTensor> state_;
  const std::unique_ptr<offload::StateArrays> arrays_;
  int64_t steps_ = 0;
  // Values that came from their tier.
  struct {
    plan::Extent weights;  // In the share.
    torch::Tensor values;
  } here_;
};

}  // namespace ft::optim
