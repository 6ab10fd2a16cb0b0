#include "worker/train/trainer/resolve.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace ft::train {
namespace {

constexpr int64_t kStepsOfARun = 80, kSamplesOfARun = 800, kFewestEpochs = 3, kMostEpochs = 10;
constexpr int64_t kStepsOfAnEpoch = (kStepsOfARun + kFewestEpochs - 1) / kFewestEpochs;
constexpr int64_t kStepsOfANamedEpoch = 10;  // Jobs stored before epochs could be open keep their steps.
constexpr int64_t kLargestAccumulation = 16;

struct Rates {
  int rank;
  double alpha, adapter_lr, full_lr;
};
// An adapter starts as zero, and a short run with a long one's rate ends before it says anything.
constexpr Rates kShortRun = {.rank = 16, .alpha = 32, .adapter_lr = 5e-4, .full_lr = 1e-4};
constexpr Rates kLongRun = {.rank = 64, .alpha = 16, .adapter_lr = 2e-4, .full_lr = 2e-5};

// Whether samples are put together into rows here. With XTuner's habits preparation has done so: a sample of the cache is a row.
bool Packs(const recipe::JobSpec& job) { return job.train.packing && !recipe::HasXTunersHabits(job); }

// Lengths of the training samples, where packing asks for them.
std::vector<int64_t> LengthsOf(const recipe::JobSpec& job, const data::TokenCache& cache) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < cache.train_samples() && Packs(job); ++i) {
    lengths.push_back(static_cast<int64_t>(cache.at(i).ids.size()));
  }
  return lengths;
}

// Rows of an epoch: packed rows, or samples.
int64_t RowsOfAnEpoch(recipe::JobSpec job, int64_t samples, const std::vector<int64_t>& lengths) {
  job.train.epochs = job.train.micro_batch = job.train.accumulation =
      1;  // A step a row, so that steps count rows.
  job.train.max_steps = 0;
  job.parallel = {};
  return data::BatchSampler(SamplerConfigOf(job, samples, lengths)).total_steps();
}

void ChooseRows(recipe::JobSpec& job, int64_t samples, const std::vector<int64_t>& lengths) {
  recipe::TrainSpec& train = job.train;
  const int64_t steps = train.epochs == 0 ? kStepsOfAnEpoch : kStepsOfANamedEpoch;
  const int64_t wanted_rows = steps * train.micro_batch * job.parallel.ranks;
  if (train.packing && train.packed_length == 0 && !Packs(job)) train.packed_length = train.max_length;
  if (train.packing && train.packed_length == 0) {
    const int64_t total = std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
    const int64_t longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
    const int64_t share = train.accumulation > 0 ? train.max_length : total / wanted_rows;
    train.packed_length = std::clamp(share, longest, train.max_length);
  }
  if (train.accumulation > 0) return;
  const int64_t most = RowsOfAnEpoch(job, samples, lengths) / wanted_rows;
  train.accumulation = std::clamp(static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(most))),
                                  int64_t{1}, kLargestAccumulation);
}

// REQUIRES: rows and epochs are chosen.
int64_t StepsOf(const recipe::JobSpec& job, int64_t samples, const std::vector<int64_t>& lengths) {
  return data::BatchSampler(SamplerConfigOf(job, samples, lengths)).total_steps();
}

void ChooseEpochs(recipe::JobSpec& job, int64_t samples, const std::vector<int64_t>& lengths) {
  if (job.train.epochs > 0) return;
  job.train.epochs = kFewestEpochs;
  if (job.train.max_steps > 0) return;
  while (job.train.epochs < kMostEpochs &&
         (job.train.epochs * samples < kSamplesOfARun || StepsOf(job, samples, lengths) < kStepsOfARun)) {
    ++job.train.epochs;
  }
}

void ChooseRates(recipe::JobSpec& job, int64_t steps) {
  const Rates& rates = steps < kStepsOfALongRun ? kShortRun : kLongRun;
  recipe::MethodSpec& method = job.method;
  if (method.rank == 0) method.rank = rates.rank;
  if (method.alpha == 0) method.alpha = rates.alpha;
  double& lr = job.train.optimizer.lr;
  if (lr == 0) lr = method.kind == "full" ? rates.full_lr : rates.adapter_lr;
}

}  // namespace

recipe::JobSpec ResolveFromData(const recipe::JobSpec& job, int64_t samples,
                                const std::vector<int64_t>& lengths) {
  recipe::JobSpec resolved = job;
  ChooseRows(resolved, samples, lengths);
  ChooseEpochs(resolved, samples, lengths);
  ChooseRates(resolved, StepsOf(resolved, samples, lengths));
  return resolved;
}

recipe::JobSpec ResolveFromData(const recipe::JobSpec& job, const data::TokenCache& cache) {
  return ResolveFromData(job, cache.train_samples(), LengthsOf(job, cache));
}

data::SamplerConfig SamplerConfigOf(const recipe::JobSpec& job, int64_t samples,
                                    std::vector<int64_t> lengths) {
  const recipe::TrainSpec& spec = job.train;
  return {.seed = spec.seed,
          .shuffle = spec.shuffle,
          .samples = samples,
          .epochs = spec.epochs,
          .max_steps = spec.max_steps,
          .micro_batch = spec.micro_batch,
          .accumulation = recipe::MicroBatchesPerStep(job),
          .ranks = job.parallel.ranks,
          .whole_epochs = recipe::HasXTunersHabits(job),
          .packing = Packs(job),
          .row_tokens = spec.packed_length,
          .lengths = Packs(job) ? std::move(lengths) : std::vector<int64_t>()};
}

data::SamplerConfig SamplerConfigOf(const recipe::JobSpec& job, const data::TokenCache& cache) {
  return SamplerConfigOf(job, cache.train_samples(), LengthsOf(job, cache));
}

}  // namespace ft::train
