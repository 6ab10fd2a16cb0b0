#include "worker/train/offload/host_tier.h"

#include <vector>

#include "core/base/check.h"

namespace ft::offload {
namespace {

// The order of the stream is all that there is to wait for.
Status InOrder() { return absl::OkStatus(); }

class HostTier final : public Tier {
 public:
  HostTier(plan::StateTiles tiles, at::Device device) : Tier(std::move(tiles)), device_(device) {
    FT_CHECK(!device.is_cpu());
    for (const plan::StateTiles::Tile& tile : this->tiles().tiles())
      host_.push_back(torch::empty({tile.bytes}, at::TensorOptions(at::kByte).pinned_memory(true)).zero_());
  }

  std::string place() const override { return "host memory"; }

  torch::Tensor NewBuffer() const override {
    return torch::empty({tiles().largest()}, at::TensorOptions(at::kByte).device(device_));
  }

 private:
  Pending Read(size_t tile, const torch::Tensor& bytes) override {
    torch::Tensor(bytes).copy_(host_[tile], /*non_blocking=*/true);
    return InOrder;
  }
  Pending Write(size_t tile, const torch::Tensor& bytes) override {
    host_[tile].copy_(bytes, /*non_blocking=*/true);
    return InOrder;
  }

  const at::Device device_;
  std::vector<torch::Tensor> host_;
};

}  // namespace

std::unique_ptr<Tier> MakeHostTier(plan::StateTiles tiles, at::Device device) {
  return std::make_unique<HostTier>(std::move(tiles), device);
}

}  // namespace ft::offload
