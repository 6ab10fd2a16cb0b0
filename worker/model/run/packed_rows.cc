#include "worker/model/run/packed_rows.h"

namespace ft::run {

PackedRows PackRows(const std::vector<RowsSample>& samples, uint64_t seed, uint64_t step) {
  PackedRows packed{.seed = seed, .step = step};
  std::vector<int64_t> ids;
  for (const RowsSample& sample : samples) {
    const auto first = static_cast<int64_t>(ids.size()), length = static_cast<int64_t>(sample.ids.size());
    packed.segments.push_back({first, length, first, length});
    packed.rope_lengths.push_back(length);
    ids.insert(ids.end(), sample.ids.begin(), sample.ids.end());
    packed.sample_N.insert(packed.sample_N.end(), sample.ids.size(), sample.key);
    for (int64_t t = 0; t < length; ++t) {
      packed.position_N.push_back(t);
      const auto next = static_cast<size_t>(t + 1);
      if (next >= sample.loss_mask.size() || sample.loss_mask[next] == 0) continue;
      packed.supervised_rows.push_back(first + t);
      packed.targets.push_back(sample.ids[next]);
    }
  }
  packed.ids_N = torch::tensor(ids, torch::kInt64);
  return packed;
}

}  // namespace ft::run
