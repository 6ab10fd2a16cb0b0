#include "worker/train/shard/trained_state.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/plan/slices.h"
#include "worker/device/staging.h"
#include "worker/train/optim/clip.h"
#include "worker/train/shard/unit_exchange.h"

namespace ft::shard {
namespace {

// Before anything else of the state is made: the store lays it out by what this rank owns.
params::ParameterStore& WithShare(params::ParameterStore& store, const recipe::Sharding& sharding,
                                  const SliceExchange& exchange) {
  if (sharding.states_sliced) store.Own(exchange.share(), sharding.gradients_sliced);
  return store;
}

}  // namespace

TrainedState::TrainedState(comm::Comm& comm, const recipe::Sharding& sharding, params::ParameterStore& store,
                           const recipe::OptimizerSpec& optimizer, ValuesChanged values_changed,
                           std::unique_ptr<offload::Tier> tier)
    : comm_(comm),
      store_(store),
      values_changed_(std::move(values_changed)),
      sliced_(sharding.states_sliced),
      exchange_(comm, store.table(), sharding.slices),
      reducer_(comm, sharding, exchange_, WithShare(store, sharding, exchange_)),
      optimizer_(optim::Optimizer::Of(optimizer, store, std::move(tier))) {}

plan::Extent TrainedState::OwnedOf(int index) const {
  return sliced_ ? exchange_.OwnedOf(index) : plan::Extent{0, store_.range(index).elements};
}

int64_t TrainedState::InShare(int index) const {
  return sliced_ ? exchange_.InShare(index) : store_.range(index).begin;
}

StatusOr<Measured> TrainedState::Measure(const optim::LossScale& scale) {
  const torch::Tensor sums = store_.gradient_sums();
  Measured measured{.overflow = scale.Overflows(sums)};
  if (scale.value() != 1) torch::Tensor(sums).mul_(1 / scale.value());
  if (!sliced_) {
    measured.norm = optim::GlobalNorm(store_);
    return measured;
  }
  if (scale.enabled()) {
    const bool mine = measured.overflow;
    std::vector<char> all(static_cast<size_t>(comm_.size()));
    RETURN_IF_ERROR(
        comm_.AllGather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all))));
    measured.overflow = std::any_of(all.begin(), all.end(), [](char overflow) { return overflow != 0; });
  }
  const torch::Tensor own = optim::SquaresByBlock(sums);
  ASSIGN_OR_RETURN(
      const std::vector<std::byte> squares,
      exchange_.GatherItems(plan::BlockOwners(exchange_.slices(), optim::kNormBlock, comm_.size()),
                            sizeof(float), device::HostBytes(own)));
  measured.norm = optim::NormOfBlocks(store_.table(), reinterpret_cast<const float*>(squares.data()));
  return measured;
}

StatusOr<std::string> TrainedState::FirstNonFinite() {
  const int mine = optim::FirstNonFinite(store_);
  std::vector<int> all(static_cast<size_t>(comm_.size()));
  RETURN_IF_ERROR(
      comm_.AllGather(std::as_bytes(std::span(&mine, 1)), std::as_writable_bytes(std::span(all))));
  const int first = *std::min_element(all.begin(), all.end());
  return first == store_.size() ? std::string() : store_.name(first);
}

Status TrainedState::Update(double lr, double norm, double max_norm) {
  optim::ClipByNorm(store_, norm, max_norm);
  RETURN_IF_ERROR(CatchUnavailable([&] { return optimizer_->Step(lr); }));
  if (sliced_ && store_.has_whole_values()) RETURN_IF_ERROR(exchange_.Gather(store_.values()));
  return TellOfValues();
}

Status TrainedState::TellOfValues() {
  return CatchUnavailable([this] {
    values_changed_();
    return absl::OkStatus();
  });
}

StatusOr<torch::Tensor> TrainedState::ReadValues(plan::Extent part) {
  torch::Tensor values;
  RETURN_IF_ERROR(CatchUnavailable([&] {
    values = store_.ReadShare(part);
    return absl::OkStatus();
  }));
  return values;
}

StatusOr<torch::Tensor> TrainedState::GatherValue(int index) {
  if (store_.has_whole_values()) return store_.value(index);
  const plan::Extent owned = OwnedOf(index);
  const int64_t begin = InShare(index);
  ASSIGN_OR_RETURN(const torch::Tensor own, ReadValues({begin, begin + owned.end - owned.begin}));
  ASSIGN_OR_RETURN(const torch::Tensor flat, exchange_.GatherTensor(own, index, /*weights_per_item=*/1));
  return flat.view(store_.range(index).tensor.shape);
}

StatusOr<torch::Tensor> TrainedState::WholeValue(int index) {
  if (!store_.has_whole_values()) RETURN_IF_ERROR(Ask(index));
  return GatherValue(index);
}

Status TrainedState::ServeValues() {
  while (!store_.has_whole_values()) {
    int index = kNoMore;
    RETURN_IF_ERROR(Ask(index));
    if (index == kNoMore) break;
    RETURN_IF_ERROR(GatherValue(index).status());
  }
  return absl::OkStatus();
}

Status TrainedState::EndServing() {
  if (store_.has_whole_values()) return absl::OkStatus();
  int index = kNoMore;
  return Ask(index);
}

Status TrainedState::Ask(int& index) {
  return comm_.Broadcast(0, std::as_writable_bytes(std::span(&index, 1)));
}

bool TrainedState::AllHave(const Piece& piece) const {
  return piece.array == nullptr ? store_.has_whole_values() : !sliced_;
}

plan::Extent TrainedState::Held(const Piece& piece) const {
  if (AllHave(piece)) return piece.weights;
  const plan::Extent owned = OwnedOf(piece.tensor);
  const int64_t begin = std::max(piece.weights.begin, owned.begin);
  return {begin, std::max(begin, std::min(piece.weights.end, owned.end))};
}

int64_t TrainedState::FirstItem(const Piece& piece, plan::Extent weights) const {
  const int64_t in_owned = weights.begin - OwnedOf(piece.tensor).begin;
  if (piece.array != nullptr)
    return piece.array->layout.OfTensor(piece.tensor).begin + in_owned / piece.weights_per_item();
  return store_.has_whole_values() ? store_.range(piece.tensor).begin + weights.begin
                                   : InShare(piece.tensor) + in_owned;
}

StatusOr<torch::Tensor> TrainedState::Read(const Piece& piece) {
  const int64_t begin = FirstItem(piece, piece.weights);
  const plan::Extent items{begin, begin + piece.items()};
  return piece.array == nullptr ? ReadValues(items) : optimizer_->ReadItems(*piece.array, items);
}

Status TrainedState::Write(const Piece& piece, const torch::Tensor& items) {
  const Piece held{piece.tensor, Held(piece), piece.array};
  if (held.items() == 0) return absl::OkStatus();
  const int64_t begin = FirstItem(piece, held.weights);
  const int64_t skipped = (held.weights.begin - piece.weights.begin) / piece.weights_per_item();
  const torch::Tensor own = items.narrow(0, skipped, held.items());
  if (piece.array != nullptr) return optimizer_->WriteItems(*piece.array, begin, own);
  return CatchUnavailable([&] {
    store_.WriteShare(begin, own);
    return absl::OkStatus();
  });
}

Status TrainedState::EndWriting() {
  store_.ValuesChanged();
  return TellOfValues();
}

plan::StateBytes TrainedState::held() const {
  plan::StateBytes held = store_.held();
  held.moments = optimizer_->state_bytes();
  return held;
}

}  // namespace ft::shard
