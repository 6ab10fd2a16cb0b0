#include "worker/adapt/merge.h"

namespace ft::adapt {

StatusOr<torch::Tensor> MergedWeight(const model::DecoderWeights& weights, const std::string& name,
                                     at::ScalarType type) {
  torch::NoGradGuard no_grad;
  const model::FoundWeight found = model::FindWeight(weights, name);
  if (found.slot == nullptr) return absl::NotFoundError(StrCat("the model has no weight ", name));
  const torch::Tensor base_OI = found.slot->Materialise(torch::kFloat);
  if (found.adapter == nullptr) return base_OI.to(type, /*non_blocking=*/false, /*copy=*/true);
  const torch::Tensor a_RI = found.adapter->a_RI->Materialise(torch::kFloat);
  const torch::Tensor b_OR = found.adapter->b_OR->Materialise(torch::kFloat);
  return at::add(base_OI, at::mm(b_OR, a_RI), found.adapter->scale).to(type);
}

}  // namespace ft::adapt
