// Samples of the token cache as a micro-batch's rows.
#pragma once

#include <vector>

#include "core/base/status.h"
#include "worker/data/cache/batch_sampler.h"
#include "worker/data/cache/token_cache.h"
#include "worker/model/run/packed_rows.h"

namespace ft::train {

// REQUIRES: a cache that CheckTokens accepts.
run::PackedRows MakeMicroBatch(const data::TokenCache& cache, const std::vector<data::OrderedSample>& samples,
                               uint64_t seed, uint64_t step);

// Once, before the first step: INVALID_ARGUMENT names a token id of the cache that is outside the model's vocabulary.
Status CheckTokens(const data::TokenCache& cache, int64_t vocabulary);

// What a step's mean loss divides by.
int64_t SupervisedTokens(const data::TokenCache& cache, const std::vector<data::OrderedSample>& samples);

}  // namespace ft::train
