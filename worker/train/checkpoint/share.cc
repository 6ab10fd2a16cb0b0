#include "worker/train/checkpoint/share.h"

#include <array>

#include "worker/train/comm/tensors.h"

namespace ft::checkpoint {
Status ShareState(comm::Comm& comm, const State& state, int64_t& step) {
  if (comm.size() == 1) return absl::OkStatus();
  optim::AdamW& optimizer = state.optimizer;
  std::array<int64_t, 3> counts = {step, optimizer.steps(), state.loss_scale.good_steps()};
  double scale = state.loss_scale.value();
  RETURN_IF_ERROR(comm.Broadcast(0, std::as_writable_bytes(std::span(counts))));
  RETURN_IF_ERROR(comm.Broadcast(0, std::as_writable_bytes(std::span(&scale, 1))));
  params::ParameterStore& store = optimizer.store();
  for (const torch::Tensor& whole : {store.values(), store.first_moments(), store.second_moments()}) {
    RETURN_IF_ERROR(comm::Broadcast(comm, 0, whole));
  }
  store.ValuesChanged();
  step = counts[0];
  optimizer.set_steps(counts[1]);
  state.loss_scale.Restore(scale, counts[2]);
  return absl::OkStatus();
}

}  // namespace ft::checkpoint
