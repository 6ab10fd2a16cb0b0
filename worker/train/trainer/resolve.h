// What a job leaves open about its training (a value of 0), chosen by its data. Pure functions, so all ranks
// and all attempts of a job choose alike.
#pragma once

#include <vector>

#include "core/recipe/job_spec.h"
#include "worker/data/cache/batch_sampler.h"
#include "worker/data/cache/token_cache.h"

namespace ft::train {

// Runs of fewer steps than this get larger rates.
inline constexpr int64_t kStepsOfALongRun = 240;

// The job with every open setting chosen, so that a run makes eighty steps or more where its data allows it
// (docs/decisions/0034). `lengths`: tokens of each of the `samples` training samples, used with packing; `samples` is positive.
//
// With XTuner's habits the samples are the rows that preparation made, and packed_length is max_length.
//
//   packed_length    max_length; where accumulation is open too and data is little, less, so that an epoch has as many rows
//                    as it is to have steps: 27 where epochs are open, else ten
//   accumulation     the largest power of two up to 16 that leaves an epoch so many steps
//   epochs           the fewest from 3 to 10 that make eighty steps and see 800 samples; 3 with max_steps
//   rank, alpha, lr  by the number of steps, below kStepsOfALongRun or not
recipe::JobSpec ResolveFromData(const recipe::JobSpec& job, int64_t samples,
                                const std::vector<int64_t>& lengths);
recipe::JobSpec ResolveFromData(const recipe::JobSpec& job, const data::TokenCache& cache);

// The order in which a job takes its training samples. REQUIRES: the job is resolved.
data::SamplerConfig SamplerConfigOf(const recipe::JobSpec& job, int64_t samples,
                                    std::vector<int64_t> lengths);
data::SamplerConfig SamplerConfigOf(const recipe::JobSpec& job, const data::TokenCache& cache);

}  // namespace ft::train
