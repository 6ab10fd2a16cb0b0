// Samples of the token cache as the tensors of a micro-batch.
#pragma once

#include <vector>

#include "worker/data/cache/sample_order.h"
#include "worker/data/cache/token_cache.h"
#include "worker/model/run/language_model.h"

namespace ft::train {

// Right-padded to the longest sample. Labels are the ids where loss is marked, -100 elsewhere, not shifted.
run::MicroBatch MakeMicroBatch(const data::TokenCache& cache, const std::vector<data::OrderedSample>& samples,
                               uint64_t seed, uint64_t step);

// What a step's mean loss divides by.
int64_t SupervisedTokens(const data::TokenCache& cache, const std::vector<data::OrderedSample>& samples);

}  // namespace ft::train
