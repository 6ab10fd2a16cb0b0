#include "worker/train/offload/host_weights.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/plan/weight_rest.h"
#include "worker/model/params/unit_gatherer.h"

namespace ft::offload {
namespace {

constexpr int64_t kLargestBlock = int64_t{4} << 20;

// Pinned blocks end to end, of `bytes` together.
std::vector<torch::Tensor> BlocksOf(int64_t bytes) {
  std::vector<torch::Tensor> blocks;
  for (int64_t block = kLargestBlock; bytes > 0; block /= 2) {
    for (; bytes >= block; bytes -= block)
      blocks.push_back(torch::empty({block}, at::TensorOptions(at::kByte).pinned_memory(true)).zero_());
  }
  return blocks;
}

class HostBytes final : public params::RestingBytes {
 public:
  HostBytes(int64_t bytes, plan::TierBytes& moved) : blocks_(BlocksOf(bytes)), moved_(moved) {}

  void Read(int64_t begin, const torch::Tensor& to) override {
    VisitBlocks(begin, to, [](const torch::Tensor& host, torch::Tensor device) {
      device.copy_(host, /*non_blocking=*/true);
    });
    moved_.read += to.numel();
  }
  void Write(int64_t begin, const torch::Tensor& from) override {
    VisitBlocks(begin, from, [](torch::Tensor host, const torch::Tensor& device) {
      host.copy_(device, /*non_blocking=*/true);
    });
    moved_.written += from.numel();
  }

 private:
  // Calls visit(host's bytes, device's bytes) for each block that has some of them.
  template <typename Visit>
  void VisitBlocks(int64_t begin, const torch::Tensor& device, const Visit& visit) const {
    const int64_t end = begin + device.numel();
    int64_t first = 0;  // Of the block's bytes.
    for (const torch::Tensor& block : blocks_) {
      const int64_t from = std::max(begin, first), to = std::min(end, first + block.numel());
      if (from < to)
        visit(block.narrow(0, from - first, to - from), device.narrow(0, from - begin, to - from));
      first += block.numel();
    }
    FT_CHECK(end <= first) << end << " bytes of " << first;
  }

  const std::vector<torch::Tensor> blocks_;
  plan::TierBytes& moved_;
};

class HostWeights final : public params::WeightTier {
 public:
  explicit HostWeights(CheckRoom check_room) : check_room_(std::move(check_room)) {}

  std::string place() const override { return "host memory"; }

  std::unique_ptr<params::RestingBytes> Take(const std::string& what, int64_t bytes) override {
    const int64_t wanted = plan::OnTier(bytes);
    const Status room = check_room_ ? check_room_(wanted, what) : absl::OkStatus();
    if (!room.ok()) throw params::UnitUnavailable(room);
    auto taken = std::make_unique<HostBytes>(wanted, bytes_);
    bytes_.held += wanted;
    return taken;
  }

  const plan::TierBytes& bytes() const override { return bytes_; }

 private:
  const CheckRoom check_room_;
  plan::TierBytes bytes_;
};

}  // namespace

std::unique_ptr<params::WeightTier> MakeHostWeights(at::Device device, CheckRoom check_room) {
  FT_CHECK(!device.is_cpu());
  return std::make_unique<HostWeights>(std::move(check_room));
}

}  // namespace ft::offload
