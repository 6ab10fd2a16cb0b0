#include "worker/train/comm/tensors.h"

#include "core/base/check.h"
#include "worker/device/staging.h"

namespace ft::comm {
namespace {

// Calls `exchange` with the tensor's values in host memory, and takes what it leaves there.
template <typename Exchange>
Status ThroughHost(const torch::Tensor& tensor, Exchange exchange) {
  FT_CHECK(tensor.is_contiguous());
  const torch::Tensor host = device::Download(tensor);
  RETURN_IF_ERROR(exchange(host));
  if (!host.is_same(tensor)) torch::Tensor(tensor).copy_(host);
  return absl::OkStatus();
}

}  // namespace

Status AllReduceSum(Comm& comm, const torch::Tensor& tensor) {
  FT_CHECK(tensor.scalar_type() == torch::kFloat);
  if (comm.size() == 1) return absl::OkStatus();
  return ThroughHost(tensor, [&](const torch::Tensor& host) {
    return comm.AllReduceSum({host.mutable_data_ptr<float>(), static_cast<size_t>(host.numel())});
  });
}

Status Broadcast(Comm& comm, int root, const torch::Tensor& tensor) {
  if (comm.size() == 1) return absl::OkStatus();
  return ThroughHost(
      tensor, [&](const torch::Tensor& host) { return comm.Broadcast(root, device::HostBytes(host)); });
}

}  // namespace ft::comm
