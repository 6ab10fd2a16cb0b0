// Comm's operations over tensors.
#include <torch/types.h>

#include <numeric>
#include <vector>

#include "core/base/check.h"
#include "worker/device/staging.h"
#include "worker/train/comm/comm.h"

namespace ft::comm {
namespace {

// Calls `exchange` with the tensor's values in host memory, and takes what it leaves there.
template <typename Exchange>
Status ThroughHost(const torch::Tensor& tensor, Exchange exchange) {
  const torch::Tensor host = device::Download(tensor);
  RETURN_IF_ERROR(exchange(host));
  if (!host.is_same(tensor)) torch::Tensor(tensor).copy_(host);
  return absl::OkStatus();
}

size_t Elements(const torch::Tensor& tensor) { return static_cast<size_t>(tensor.numel()); }

}  // namespace

void Comm::ExchangeOnDevices(std::unique_ptr<DeviceCollectives> collectives) {
  on_devices_ = std::move(collectives);
}

Status Comm::RunOnDevices(const Operation& operation, int64_t received,
                          const std::function<Status(const WaitCheck&)>& body) {
  return Run(operation, on_devices_->transport(), received, [&]() -> Status {
    RETURN_IF_ERROR(DoBarrier());
    const auto deadline = std::chrono::steady_clock::now() + options_.timeout;
    RETURN_IF_ERROR(body([&]() -> Status {
      RETURN_IF_ERROR(CheckPeers());
      if (std::chrono::steady_clock::now() >= deadline) {
        return absl::DeadlineExceededError(
            "all ranks came, and the devices did not end the exchange in time");
      }
      TellWait(/*missing=*/-1);
      return absl::OkStatus();
    }));
    return DoBarrier();  // Nobody leaves whose device others still read from.
  });
}

Status Comm::AllReduceSum(const at::Tensor& values) {
  FT_CHECK(values.is_contiguous() && values.scalar_type() == torch::kFloat);
  if (size_ == 1) return absl::OkStatus();
  if (on_devices_ != nullptr && !values.is_cpu()) {
    return RunOnDevices(kSums, ReceivedInSum(Elements(values)),
                        [&](const WaitCheck& check) { return on_devices_->AllReduceSum(values, check); });
  }
  return ThroughHost(values, [&](const torch::Tensor& host) {
    return AllReduceSum(std::span(host.mutable_data_ptr<float>(), Elements(host)));
  });
}

Status Comm::Broadcast(int root, const at::Tensor& tensor) {
  FT_CHECK(tensor.is_contiguous() && root >= 0 && root < size_);
  if (size_ == 1) return absl::OkStatus();
  if (on_devices_ != nullptr && !tensor.is_cpu()) {
    return RunOnDevices(kBroadcasts, rank_ == root ? 0 : static_cast<int64_t>(tensor.nbytes()),
                        [&](const WaitCheck& check) { return on_devices_->Broadcast(root, tensor, check); });
  }
  return ThroughHost(tensor,
                     [&](const torch::Tensor& host) { return Broadcast(root, device::HostBytes(host)); });
}

Status Comm::AllGather(const at::Tensor& mine, std::span<const size_t> counts, const at::Tensor& all,
                       std::string_view what) {
  FT_CHECK(mine.is_contiguous() && all.is_contiguous() && mine.scalar_type() == all.scalar_type());
  CheckParts(counts, Elements(mine), Elements(all));
  what_ = what;
  const bool on_devices = size_ > 1 && on_devices_ != nullptr && !all.is_cpu();
  const Status gathered =
      on_devices ? GatherOnDevices(mine, counts, all) : GatherThroughHost(mine, counts, all);
  what_.clear();
  return gathered;
}

Status Comm::GatherOnDevices(const at::Tensor& mine, std::span<const size_t> counts, const at::Tensor& all) {
  if (all.numel() == 0) return failure_;
  torch::Tensor own = mine;
  if (own.is_cpu()) {
    const size_t before = std::accumulate(counts.begin(), counts.begin() + rank_, size_t{0});
    own = all.view({-1}).narrow(0, static_cast<int64_t>(before), mine.numel()).copy_(mine.view({-1}));
  }
  return RunOnDevices(
      kGathers, static_cast<int64_t>(all.nbytes() - mine.nbytes()),
      [&](const WaitCheck& check) { return on_devices_->AllGather(own, counts, all, check); });
}

Status Comm::GatherThroughHost(const at::Tensor& mine, std::span<const size_t> counts,
                               const at::Tensor& all) {
  std::vector<size_t> bytes(counts.begin(), counts.end());
  for (size_t& count : bytes) count *= all.element_size();
  const torch::Tensor host_mine = device::Download(mine);
  const torch::Tensor host_all =
      all.is_cpu() ? all : torch::empty(all.sizes(), all.options().device(device::kHost));
  RETURN_IF_ERROR(AllGather(device::HostBytes(host_mine), bytes, device::HostBytes(host_all)));
  if (!all.is_cpu()) torch::Tensor(all).copy_(host_all);
  return absl::OkStatus();
}

Status Comm::ReduceScatterSum(const at::Tensor& values, std::span<const size_t> counts, int contributors,
                              const at::Tensor& own) {
  FT_CHECK(values.is_contiguous() && own.is_contiguous() && values.scalar_type() == torch::kFloat);
  CheckParts(counts, Elements(own), Elements(values));
  if (size_ > 1 && on_devices_ != nullptr && !values.is_cpu() && !own.is_cpu()) {
    FT_CHECK(contributors >= 1 && contributors <= size_) << contributors << " of " << size_;
    if (values.numel() == 0) return failure_;
    return RunOnDevices(kScatters, ReceivedInScatter(Elements(own), contributors),
                        [&](const WaitCheck& check) {
                          return on_devices_->ReduceScatterSum(values, counts, contributors, own, check);
                        });
  }
  const torch::Tensor host = device::Download(values);
  const torch::Tensor sum = own.is_cpu() ? own : torch::empty(own.sizes(), torch::kFloat);
  const auto floats = [](const torch::Tensor& tensor) {
    return std::span(tensor.mutable_data_ptr<float>(), Elements(tensor));
  };
  RETURN_IF_ERROR(ReduceScatterSum(floats(host), counts, contributors, floats(sum)));
  if (!own.is_cpu()) torch::Tensor(own).copy_(sum);
  return absl::OkStatus();
}

}  // namespace ft::comm
