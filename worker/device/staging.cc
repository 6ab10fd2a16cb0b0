#include "worker/device/staging.h"

#include "core/base/check.h"

namespace ft::device {
namespace {

torch::Tensor Pinned(const torch::Tensor& like) {
  return torch::empty(like.sizes(), at::TensorOptions(like.scalar_type()).pinned_memory(true));
}

}  // namespace

torch::Tensor Upload(const torch::Tensor& host, at::Device device) {
  FT_CHECK(host.is_cpu());
  if (device.is_cpu()) return host;
  // LibTorch keeps a pinned block from further use until the copy has read it.
  return Pinned(host).copy_(host).to(device, /*non_blocking=*/true);
}

torch::Tensor Download(const torch::Tensor& tensor) {
  const torch::Tensor whole = tensor.contiguous();
  if (whole.is_cpu()) return whole;
  return Pinned(whole).copy_(whole);  // Waits.
}

Status FillFromHost(const torch::Tensor& tensor, const std::function<Status(std::span<std::byte>)>& fill) {
  FT_CHECK(tensor.is_contiguous());
  if (tensor.is_cpu()) return fill(HostBytes(tensor));
  const torch::Tensor host = Pinned(tensor);
  RETURN_IF_ERROR(fill(HostBytes(host)));
  torch::Tensor(tensor).copy_(host);
  return absl::OkStatus();
}

std::span<std::byte> HostBytes(const torch::Tensor& tensor) {
  FT_CHECK(tensor.is_cpu() && tensor.is_contiguous());
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

}  // namespace ft::device
