#include "worker/model/decoder/router_balance.h"

#include "core/base/check.h"
#include "worker/device/staging.h"
#include "worker/model/ops/kernel_call.h"

namespace ft::model {

using torch::Tensor;

RouterBalance::RouterBalance(const Experts& experts, int64_t layers,
                             const std::vector<ops::AttentionSegment>& samples)
    : experts_(experts), uses_(static_cast<size_t>(layers)), gradients_(static_cast<size_t>(layers)) {
  FT_CHECK(experts.balance != Experts::Balance::kNone);
  if (experts.balance != Experts::Balance::kSequence) {
    rows_ = {0};
    first_ = {0};
    for (const ops::AttentionSegment& sample : samples) rows_[0] += sample.queries;
    return;
  }
  for (const ops::AttentionSegment& sample : samples) {
    rows_.push_back(sample.queries);
    first_.push_back(sample.first_query);
  }
}

void RouterBalance::Record(int64_t layer, const Tensor& probability_NE, const Tensor& expert_NK) {
  Use& use = uses_[static_cast<size_t>(layer)];
  if (!use.pairs.empty()) return;
  const size_t count = static_cast<size_t>(experts_.count);
  use = {std::vector<double>(rows_.size() * count, 0), std::vector<double>(rows_.size() * count, 0)};
  const Tensor probabilities = device::Download(probability_NE.detach()),
               chosen = device::Download(expert_NK);
  const float* probability = ops::Data<float>(probabilities);
  const int64_t* expert = ops::Data<int64_t>(chosen);
  for (size_t group = 0; group < rows_.size(); ++group) {
    double* pairs = use.pairs.data() + group * count;
    double* sum = use.probability.data() + group * count;
    for (int64_t row = first_[group]; row < first_[group] + rows_[group]; ++row) {
      for (size_t e = 0; e < count; ++e) sum[e] += probability[static_cast<size_t>(row) * count + e];
      for (int64_t k = 0; k < experts_.chosen; ++k) ++pairs[expert[row * experts_.chosen + k]];
    }
  }
}

double RouterBalance::LayerLoss(const Use& use, std::vector<double>& slope) const {
  const size_t count = static_cast<size_t>(experts_.count);
  const auto groups = static_cast<double>(rows_.size());
  double loss = 0;
  slope.assign(use.pairs.size(), 0);
  for (size_t i = 0; i < use.pairs.size(); ++i) {
    const auto rows = static_cast<double>(rows_[i / count]);
    // 1 where all experts get as many rows.
    const double share =
        use.pairs[i] * static_cast<double>(experts_.count) / (rows * static_cast<double>(experts_.chosen));
    slope[i] = share / (rows * groups);
    loss += slope[i] * use.probability[i];
  }
  return loss;
}

double RouterBalance::Finish(double factor) {
  const bool over_layers = experts_.balance == Experts::Balance::kModel;
  Use all{std::vector<double>(static_cast<size_t>(experts_.count), 0),
          std::vector<double>(static_cast<size_t>(experts_.count), 0)};
  double loss = 0, layers = 0;
  std::vector<double> slope;
  for (const Use& use : uses_) {
    if (use.pairs.empty()) continue;
    ++layers;
    for (size_t i = 0; over_layers && i < all.pairs.size(); ++i) {
      all.pairs[i] += use.pairs[i];
      all.probability[i] += use.probability[i];
    }
  }
  if (over_layers && layers > 0) {
    // Rows of all layers are as many more rows; the sum over the k-th choices is not divided by their number.
    loss = LayerLoss(all, slope) * static_cast<double>(experts_.chosen) / (layers * layers);
    for (double& value : slope) value *= static_cast<double>(experts_.chosen) / (layers * layers);
  }
  for (size_t layer = 0; layer < uses_.size(); ++layer) {
    if (uses_[layer].pairs.empty()) continue;
    if (!over_layers) loss += LayerLoss(uses_[layer], slope);
    Tensor gradient = torch::empty({static_cast<int64_t>(rows_.size()), experts_.count}, torch::kFloat);
    float* values = ops::MutableData<float>(gradient);
    for (size_t i = 0; i < slope.size(); ++i)
      values[i] = static_cast<float>(slope[i] * experts_.balance_weight * factor);
    if (rows_.size() > 1) gradient = gradient.repeat_interleave(torch::tensor(rows_, torch::kLong), 0);
    gradients_[layer] = gradient;
  }
  return loss * experts_.balance_weight;
}

Tensor RouterBalance::Gradient(int64_t layer, at::Device device) const {
  const Tensor& gradient = gradients_[static_cast<size_t>(layer)];
  FT_CHECK(gradient.defined()) << layer;
  return device::Upload(gradient, device);
}

}  // namespace ft::model
