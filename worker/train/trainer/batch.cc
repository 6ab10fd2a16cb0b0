#include "worker/train/trainer/batch.h"

#include <algorithm>

namespace ft::train {

run::MicroBatch MakeMicroBatch(const data::TokenCache& cache, const std::vector<data::OrderedSample>& samples,
                               uint64_t seed, uint64_t step) {
  int64_t longest = 0;
  for (const data::OrderedSample& sample : samples) {
    longest = std::max(longest, static_cast<int64_t>(cache.at(sample.index).ids.size()));
  }
  const auto rows = static_cast<int64_t>(samples.size());
  run::MicroBatch batch{.ids_BT = torch::zeros({rows, longest}, torch::kInt64),
                        .labels_BT = torch::full({rows, longest}, -100, torch::kInt64),
                        .seed = seed,
                        .step = step,
                        .own_lengths = true};
  for (int64_t row = 0; row < rows; ++row) {
    const data::TokenSample sample = cache.at(samples[row].index);
    int64_t* ids = batch.ids_BT.mutable_data_ptr<int64_t>() + row * longest;
    int64_t* labels = batch.labels_BT.mutable_data_ptr<int64_t>() + row * longest;
    for (size_t t = 0; t < sample.ids.size(); ++t) {
      ids[t] = sample.ids[t];
      if (sample.loss[t] != 0) labels[t] = sample.ids[t];
    }
    batch.lengths.push_back(static_cast<int64_t>(sample.ids.size()));
    batch.sample_keys.push_back(samples[row].key);
  }
  return batch;
}

int64_t SupervisedTokens(const data::TokenCache& cache, const std::vector<data::OrderedSample>& samples) {
  int64_t count = 0;
  for (const data::OrderedSample& sample : samples) count += data::SupervisedTokens(cache.at(sample.index));
  return count;
}

}  // namespace ft::train
