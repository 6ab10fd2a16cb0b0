#include "worker/train/trainer/digest.h"

#include <algorithm>
#include <utility>

#include "core/base/sha256.h"
#include "worker/device/staging.h"

namespace ft::train {
namespace {

constexpr size_t kShortDigits = 16;
constexpr int64_t kDigestBytes = 32;

static_assert(plan::kSliceGranule == ops::kLeafValues);

// Whether this rank's entries are the job's.
bool IsKeeper(shard::TrainedState& state) { return state.comm().rank() == 0; }

// Whether it digests what it has: the rest is the keeper's.
bool Digests(shard::TrainedState& state) { return IsKeeper(state) || state.is_sliced(); }

using LeafList = std::vector<std::pair<int64_t, int64_t>>;

// Appends the leaves of values [begin, begin + elements).
void AddLeaves(int64_t begin, int64_t elements, LeafList& leaves) {
  for (int64_t at = 0; at < elements; at += ops::kLeafValues)
    leaves.emplace_back(begin + at, std::min(ops::kLeafValues, elements - at));
}

// Leaves that this rank digests. `begin_of(i)` is where what it owns of tensor i begins in the vector that they are taken of.
template <typename BeginOf>
ops::Leaves LeavesOf(shard::TrainedState& state, const BeginOf& begin_of) {
  const params::ParameterStore& store = state.store();
  LeafList leaves;
  for (int i = 0; i < store.size() && Digests(state); ++i)
    AddLeaves(begin_of(i), state.OwnedOf(i).end - state.OwnedOf(i).begin, leaves);
  return {leaves, store.device()};
}

// The digest of all tensors' digests, in order.
std::string Whole(const std::vector<std::string>& digests) {
  Sha256 whole;
  for (const std::string& digest : digests) whole.Update(digest);
  return Hex(whole.Finish());
}

}  // namespace

StateDigests::StateDigests(shard::TrainedState& state, Plan plan)
    : state_(state),
      plan_(plan),
      keeps_(IsKeeper(state)),
      owners_(plan::GranuleOwners(state.store().table(), state.exchange().slices(), state.comm().size())),
      of_sums_(LeavesOf(state, [&](int i) { return state.InShare(i); })),
      of_values_(PiecesOf(state)) {
  int64_t leaf = 0;
  for (const plan::TensorRange& range : state.store().table().ranges()) {
    first_leaf_.push_back(leaf);
    leaf += (range.elements + ops::kLeafValues - 1) / ops::kLeafValues;
  }
  first_leaf_.push_back(leaf);
}

// All at once, or where values rest on a tier no more of a tensor than a tile.
std::vector<StateDigests::Piece> StateDigests::PiecesOf(shard::TrainedState& state) {
  static_assert(plan::kTileWeights % ops::kLeafValues == 0);
  const params::ParameterStore& store = state.store();
  std::vector<Piece> pieces;
  if (!store.values_rest()) {
    const auto begin_of = [&](int i) {
      return store.has_whole_values() ? store.range(i).begin + state.OwnedOf(i).begin : state.InShare(i);
    };
    pieces.push_back({{0, store.values().numel()}, LeavesOf(state, begin_of)});
    return pieces;
  }
  for (int i = 0; i < store.size() && Digests(state); ++i) {
    const int64_t begin = state.InShare(i), elements = state.OwnedOf(i).end - state.OwnedOf(i).begin;
    for (int64_t at = 0; at < elements; at += plan::kTileWeights) {
      const int64_t count = std::min(plan::kTileWeights, elements - at);
      LeafList leaves;
      AddLeaves(0, count, leaves);
      pieces.push_back({{begin + at, begin + at + count}, {leaves, store.device()}});
    }
  }
  return pieces;
}

StatusOr<torch::Tensor> StateDigests::OfValues() {
  std::vector<torch::Tensor> digests;
  for (const Piece& piece : of_values_) {
    ASSIGN_OR_RETURN(const torch::Tensor values, state_.ReadValues(piece.values));
    digests.push_back(piece.leaves.Digests(values));
  }
  return digests.empty() ? torch::empty({0, kDigestBytes}, at::kByte) : at::cat(digests);
}

StatusOr<std::vector<std::string>> StateDigests::Of(const torch::Tensor& of_leaves) {
  std::vector<std::string> by_tensor;
  const torch::Tensor digests = device::Download(of_leaves);
  const auto* bytes = static_cast<const char*>(digests.const_data_ptr());
  const int64_t width = digests.size(1);
  std::vector<std::byte> of_all;
  if (state_.is_sliced()) {
    ASSIGN_OR_RETURN(of_all, state_.exchange().GatherItems(owners_, static_cast<size_t>(width),
                                                           device::HostBytes(digests)));
    bytes = reinterpret_cast<const char*>(of_all.data());
  }
  for (size_t i = 0; i + 1 < first_leaf_.size(); ++i) {
    const std::string_view leaves(bytes + first_leaf_[i] * width,
                                  static_cast<size_t>((first_leaf_[i + 1] - first_leaf_[i]) * width));
    by_tensor.push_back(Hex(Sha256Of(leaves)));
  }
  return by_tensor;
}

Status StateDigests::BeginEntry(int64_t step,
                                const std::vector<std::vector<data::OrderedSample>>& micro_batches,
                                ledger::LedgerEntry& entry) {
  std::vector<std::string> digests;
  if (plan_.Has(step) && Digests(state_)) {
    ASSIGN_OR_RETURN(digests, Of(of_sums_.Digests(state_.store().gradient_sums())));
  }
  if (!keeps_) return absl::OkStatus();
  entry.step = step;
  entry.version = ledger::kVersion;
  std::string ids;
  for (const auto& micro_batch : micro_batches) {
    for (const data::OrderedSample& sample : micro_batch) StrAppend(&ids, sample.index, ",");
    StrAppend(&ids, ";");
  }
  entry.samples = Hex(Sha256Of(ids));
  if (!plan_.Has(step)) return absl::OkStatus();
  const params::ParameterStore& store = state_.store();
  for (int i = 0; i < store.size(); ++i)
    entry.tensors[store.name(i)].gradient = digests[static_cast<size_t>(i)].substr(0, kShortDigits);
  entry.gradient = Whole(digests);
  return absl::OkStatus();
}

Status StateDigests::FinishEntry(int64_t step, ledger::LedgerEntry& entry) {
  if (!plan_.Has(step) || !Digests(state_)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const torch::Tensor of_leaves, OfValues());
  ASSIGN_OR_RETURN(const std::vector<std::string> digests, Of(of_leaves));
  if (!keeps_) return absl::OkStatus();
  const params::ParameterStore& store = state_.store();
  for (int i = 0; i < store.size(); ++i)
    entry.tensors[store.name(i)].weights = digests[static_cast<size_t>(i)].substr(0, kShortDigits);
  entry.weights = Whole(digests);
  return absl::OkStatus();
}

}  // namespace ft::train
