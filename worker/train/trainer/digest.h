// The ledger entry of a step.
#pragma once

#include <vector>

#include "core/ledger/ledger.h"
#include "worker/data/cache/batch_sampler.h"
#include "worker/model/params/parameter_store.h"

namespace ft::train {

// Fills step, samples (indices in order) and gradient digests; call before clipping.
void BeginEntry(int64_t step, const std::vector<std::vector<data::OrderedSample>>& micro_batches,
                const params::ParameterStore& store, ledger::LedgerEntry& entry);

// Fills the weights' digests; call after the update.
void FinishEntry(const params::ParameterStore& store, ledger::LedgerEntry& entry);

}  // namespace ft::train
