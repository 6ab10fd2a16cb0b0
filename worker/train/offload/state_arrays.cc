#include "worker/train/offload/state_arrays.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "core/base/check.h"

namespace ft::offload {
namespace {

class Resident final : public StateArrays {
 public:
  explicit Resident(const ArraysShape& shape) : all_{.weights = {0, shape.weights}} {
    for (size_t a = 0; a < shape.arrays.size(); ++a) {
      const at::TensorOptions options(ScalarTypeOf(shape.arrays[a].type));
      all_.items.push_back({0, torch::zeros({shape.items[a]}, options.device(shape.device))});
    }
  }

  Status Visit(const std::function<void(const StatePart&)>& update) override {
    update(all_);
    return absl::OkStatus();
  }
  StatusOr<torch::Tensor> Read(size_t array, plan::Extent items) override {
    return all_.items[array].values.narrow(0, items.begin, items.end - items.begin);
  }
  Status Write(size_t array, int64_t begin, const torch::Tensor& items) override {
    all_.items[array].values.narrow(0, begin, items.numel()).copy_(items);
    return absl::OkStatus();
  }
  int64_t resident_bytes() const override {
    int64_t bytes = 0;
    for (const StatePart::Items& items : all_.items) bytes += static_cast<int64_t>(items.values.nbytes());
    return bytes;
  }
  plan::TierBytes tier_bytes() const override { return {}; }

 private:
  StatePart all_;
};

class OnTier final : public StateArrays {
 public:
  OnTier(const ArraysShape& shape, std::unique_ptr<Tier> tier)
      : device_(shape.device), tier_(std::move(tier)), pipe_(*tier_) {
    for (const plan::StateArray& array : shape.arrays) types_.push_back(ScalarTypeOf(array.type));
  }

  Status Visit(const std::function<void(const StatePart&)>& update) override {
    RETURN_IF_ERROR(PutBack());
    held_.reset();
    return pipe_.Run([&](size_t tile, const torch::Tensor& buffer) {
      const bool stays = buffer.device() == device_;
      // The copy back waits, so the buffer is read by then.
      const torch::Tensor bytes = stays ? buffer : buffer.to(device_, /*non_blocking=*/true);
      update(PartOf(tile, bytes));
      if (!stays) torch::Tensor(buffer).copy_(bytes);
      return absl::OkStatus();
    });
  }

  StatusOr<torch::Tensor> Read(size_t array, plan::Extent items) override {
    const torch::Tensor all =
        torch::empty({items.end - items.begin}, at::TensorOptions(types_[array]).device(device_));
    RETURN_IF_ERROR(EachTile(array, items, [&](const torch::Tensor& of_tile, int64_t at) {
      all.narrow(0, at, of_tile.numel()).copy_(of_tile);
    }));
    return all;
  }
  Status Write(size_t array, int64_t begin, const torch::Tensor& items) override {
    return EachTile(array, {begin, begin + items.numel()}, [&](torch::Tensor of_tile, int64_t at) {
      of_tile.copy_(items.narrow(0, at, of_tile.numel()));
      held_->changed = true;
    });
  }
  int64_t resident_bytes() const override { return 0; }
  plan::TierBytes tier_bytes() const override { return tier_->bytes(); }

 private:
  // A tile that arrays are read from or written to, so that those of many small tensors are brought once.
  struct Held {
    size_t tile = 0;
    torch::Tensor buffer;
    bool changed = false;
  };

  torch::Tensor ItemsOf(size_t tile, size_t array, const torch::Tensor& bytes) const {
    const plan::StateTiles::Items& items = tier_->tiles().tiles()[tile].items[array];
    const auto width = static_cast<int64_t>(at::elementSize(types_[array]));
    return bytes.narrow(0, items.at, items.count * width).view(types_[array]);
  }

  StatePart PartOf(size_t tile, const torch::Tensor& bytes) const {
    const plan::StateTiles::Tile& of = tier_->tiles().tiles()[tile];
    StatePart part{.weights = of.weights};
    for (size_t a = 0; a < types_.size(); ++a)
      part.items.push_back({of.items[a].begin, ItemsOf(tile, a, bytes)});
    return part;
  }

  // Calls visit(a tile's items, how many come before them) for all of `items`.
  template <typename Visitor>
  Status EachTile(size_t array, plan::Extent items, const Visitor& visit) {
    const std::span<const plan::StateTiles::Tile> tiles = tier_->tiles().tiles();
    for (size_t tile = 0; tile < tiles.size(); ++tile) {
      const plan::StateTiles::Items& of = tiles[tile].items[array];
      const int64_t from = std::max(items.begin, of.begin), to = std::min(items.end, of.begin + of.count);
      if (from >= to) continue;
      RETURN_IF_ERROR(Bring(tile));
      visit(ItemsOf(tile, array, held_->buffer).narrow(0, from - of.begin, to - from), from - items.begin);
    }
    return absl::OkStatus();
  }

  Status Bring(size_t tile) {
    if (held_.has_value() && held_->tile == tile) return absl::OkStatus();
    RETURN_IF_ERROR(PutBack());
    const torch::Tensor buffer = held_.has_value() ? held_->buffer : tier_->NewBuffer();
    held_.reset();
    RETURN_IF_ERROR(tier_->StartRead(tile, buffer)());
    held_ = {tile, buffer};
    return absl::OkStatus();
  }

  Status PutBack() {
    if (!held_.has_value() || !std::exchange(held_->changed, false)) return absl::OkStatus();
    return tier_->StartWrite(held_->tile, held_->buffer)();
  }

  const at::Device device_;
  const std::unique_ptr<Tier> tier_;
  TilePipe pipe_;
  std::vector<at::ScalarType> types_;
  std::optional<Held> held_;
};

}  // namespace

std::unique_ptr<StateArrays> ResidentArrays(const ArraysShape& shape) {
  return std::make_unique<Resident>(shape);
}

std::unique_ptr<StateArrays> ArraysOnTier(const ArraysShape& shape, std::unique_ptr<Tier> tier) {
  const std::span<const plan::StateTiles::Tile> tiles = tier->tiles().tiles();
  FT_CHECK((tiles.empty() ? 0 : tiles.back().weights.end) == shape.weights || shape.arrays.empty());
  return std::make_unique<OnTier>(shape, std::move(tier));
}

at::ScalarType ScalarTypeOf(plan::StateType type) {
  return type == plan::StateType::kFloat32 ? at::kFloat : at::kByte;
}

}  // namespace ft::offload
