#include "worker/checkpoint/share.h"

#include <array>

namespace ft::checkpoint {
namespace {

Status Share(comm::Comm& comm, const torch::Tensor& tensor) {
  return comm.Broadcast(0, {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()});
}

}  // namespace

Status ShareState(comm::Comm& comm, optim::AdamW& optimizer, int64_t& step) {
  if (comm.size() == 1) return absl::OkStatus();
  std::array<int64_t, 2> counts = {step, optimizer.steps()};
  RETURN_IF_ERROR(comm.Broadcast(0, std::as_writable_bytes(std::span(counts))));
  for (size_t i = 0; i < optimizer.parameters().size(); ++i) {
    RETURN_IF_ERROR(Share(comm, optimizer.parameters()[i].value));
    RETURN_IF_ERROR(Share(comm, optimizer.moments()[i].first));
    RETURN_IF_ERROR(Share(comm, optimizer.moments()[i].second));
  }
  step = counts[0];
  optimizer.set_steps(counts[1]);
  return absl::OkStatus();
}

}  // namespace ft::checkpoint
