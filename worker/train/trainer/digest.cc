#include "worker/train/trainer/digest.h"

#include <algorithm>
#include <utility>

#include "core/base/sha256.h"
#include "worker/device/staging.h"

namespace ft::train {
namespace {

constexpr size_t kShortDigits = 16;

ops::Leaves LeavesOf(const params::ParameterStore& store) {
  std::vector<std::pair<int64_t, int64_t>> leaves;
  for (const plan::TensorRange& range : store.table().ranges()) {
    for (int64_t at = 0; at < range.elements; at += ops::kLeafValues)
      leaves.emplace_back(range.begin + at, std::min(ops::kLeafValues, range.elements - at));
  }
  return {leaves, store.device()};
}

// The digest of all tensors' digests, in order.
std::string Whole(const std::vector<std::string>& digests) {
  Sha256 whole;
  for (const std::string& digest : digests) whole.Update(digest);
  return Hex(whole.Finish());
}

}  // namespace

StoreDigests::StoreDigests(const params::ParameterStore& store) : store_(store), leaves_(LeavesOf(store)) {
  int64_t leaf = 0;
  for (const plan::TensorRange& range : store.table().ranges()) {
    first_leaf_.push_back(leaf);
    leaf += (range.elements + ops::kLeafValues - 1) / ops::kLeafValues;
  }
  first_leaf_.push_back(leaf);
}

std::vector<std::string> StoreDigests::Of(const torch::Tensor& whole) const {
  const torch::Tensor digests = device::Download(leaves_.Digests(whole));
  const auto* bytes = static_cast<const char*>(digests.const_data_ptr());
  const int64_t width = digests.size(1);
  std::vector<std::string> by_tensor;
  for (size_t i = 0; i + 1 < first_leaf_.size(); ++i) {
    const std::string_view leaves(bytes + first_leaf_[i] * width,
                                  static_cast<size_t>((first_leaf_[i + 1] - first_leaf_[i]) * width));
    by_tensor.push_back(Hex(Sha256Of(leaves)));
  }
  return by_tensor;
}

void StoreDigests::BeginEntry(int64_t step,
                              const std::vector<std::vector<data::OrderedSample>>& micro_batches,
                              ledger::LedgerEntry& entry) const {
  entry.step = step;
  entry.version = ledger::kVersion;
  std::string ids;
  for (const auto& micro_batch : micro_batches) {
    for (const data::OrderedSample& sample : micro_batch) StrAppend(&ids, sample.index, ",");
    StrAppend(&ids, ";");
  }
  entry.samples = Hex(Sha256Of(ids));
  const std::vector<std::string> digests = Of(store_.gradients());
  for (int i = 0; i < store_.size(); ++i)
    entry.tensors[store_.name(i)].gradient = digests[static_cast<size_t>(i)].substr(0, kShortDigits);
  entry.gradient = Whole(digests);
}

void StoreDigests::FinishEntry(ledger::LedgerEntry& entry) const {
  const std::vector<std::string> digests = Of(store_.values());
  for (int i = 0; i < store_.size(); ++i)
    entry.tensors[store_.name(i)].weights = digests[static_cast<size_t>(i)].substr(0, kShortDigits);
  entry.weights = Whole(digests);
}

}  // namespace ft::train
