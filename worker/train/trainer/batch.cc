#include "worker/train/trainer/batch.h"

namespace ft::train {

run::PackedRows MakeMicroBatch(const data::TokenCache& cache, const std::vector<data::OrderedSample>& samples,
                               uint64_t seed, uint64_t step) {
  std::vector<run::RowsSample> rows;
  for (const data::OrderedSample& ordered : samples) {
    const data::TokenSample sample = cache.at(ordered.index);
    rows.push_back({sample.ids, sample.loss_mask, ordered.key});
  }
  return run::PackRows(rows, seed, step);
}

Status CheckTokens(const data::TokenCache& cache, int64_t vocabulary) {
  for (int64_t i = 0; i < cache.train_samples() + cache.holdout_samples(); ++i) {
    for (const int32_t id : cache.at(i).ids) {
      if (id >= 0 && id < vocabulary) continue;
      return absl::InvalidArgumentError(StrCat("sample ", i, " of the prepared data holds token id ", id,
                                               ", outside the model's vocabulary of ", vocabulary,
                                               ": another model's tokenizer?"));
    }
  }
  return absl::OkStatus();
}

int64_t SupervisedTokens(const data::TokenCache& cache, const std::vector<data::OrderedSample>& samples) {
  int64_t count = 0;
  for (const data::OrderedSample& sample : samples) count += data::SupervisedTokens(cache.at(sample.index));
  return count;
}

}  // namespace ft::train
