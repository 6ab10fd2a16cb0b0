// The ledger entry of a step.
#pragma once

#include <string>
#include <vector>

#include "core/ledger/ledger.h"
#include "worker/data/cache/batch_sampler.h"
#include "worker/model/ops/flat.h"
#include "worker/model/params/parameter_store.h"

namespace ft::train {

// Digests of a store's tensors, as the ledger has them since version 2: of a tensor, the SHA-256 over the SHA-256s of its leaves, pieces of
// 4 KiB. Leaves are digested where the tensors lie, many at a time. Refers to the store.
class StoreDigests {
 public:
  explicit StoreDigests(const params::ParameterStore& store);

  // Fills step, samples (indices in order) and gradient digests; call before clipping.
  void BeginEntry(int64_t step, const std::vector<std::vector<data::OrderedSample>>& micro_batches,
                  ledger::LedgerEntry& entry) const;
  // Fills the weights' digests; call after the update.
  void FinishEntry(ledger::LedgerEntry& entry) const;

 private:
  // In hexadecimal, by the tensor's index. `whole` is one of the store's vectors.
  std::vector<std::string> Of(const torch::Tensor& whole) const;

  const params::ParameterStore& store_;
  std::vector<int64_t> first_leaf_;  // Of each tensor, by index; the number of leaves at the end.
  ops::Leaves leaves_;
};

}  // namespace ft::train
