#include "worker/train/offload/tier.h"

#include <algorithm>
#include <vector>

namespace ft::offload {
namespace {

constexpr size_t kBuffers = 3;

Status Ended(Pending& pending) {
  if (!pending) return absl::OkStatus();
  return std::exchange(pending, nullptr)();
}

}  // namespace

Pending Tier::StartRead(size_t index, const torch::Tensor& buffer) {
  bytes_.read += tile(index).bytes;
  return Read(index, buffer.narrow(0, 0, tile(index).bytes));
}

Pending Tier::StartWrite(size_t index, const torch::Tensor& buffer) {
  bytes_.written += tile(index).bytes;
  return Write(index, buffer.narrow(0, 0, tile(index).bytes));
}

TilePipe::TilePipe(Tier& tier) : tier_(tier) {
  const size_t count = std::min(kBuffers, tier.tiles().tiles().size());
  for (size_t i = 0; i < count; ++i) buffers_.push_back(tier.NewBuffer());
}

Status TilePipe::Run(const Body& body) {
  const size_t tiles = tier_.tiles().tiles().size();
  std::vector<Pending> reads(buffers_.size()), writes(buffers_.size());
  const auto start_read = [&](size_t tile) -> Status {
    const size_t at = tile % buffers_.size();
    RETURN_IF_ERROR(Ended(writes[at]));
    reads[at] = tier_.StartRead(tile, buffers_[at]);
    return absl::OkStatus();
  };
  if (tiles > 0) RETURN_IF_ERROR(start_read(0));
  for (size_t tile = 0; tile < tiles; ++tile) {
    const size_t at = tile % buffers_.size();
    if (tile + 1 < tiles) RETURN_IF_ERROR(start_read(tile + 1));
    RETURN_IF_ERROR(Ended(reads[at]));
    RETURN_IF_ERROR(body(tile, buffers_[at]));
    writes[at] = tier_.StartWrite(tile, buffers_[at]);
  }
  for (Pending& write : writes) RETURN_IF_ERROR(Ended(write));
  return absl::OkStatus();
}

}  // namespace ft::offload
