#include "worker/train/trainer/learning.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "absl/strings/str_format.h"

namespace ft::train {
namespace {

// Fewer steps than this are judged by the blind guess alone: the loss of single batches goes up and down.
constexpr size_t kFewestSteps = 8;
constexpr size_t kMostAveraged = 10;

double Mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

std::string Learning::Verdict(int64_t vocabulary, double learning_rate) const {
  if (losses_.empty()) return "";
  // Single steps differ by their samples: the first tenth of the run against its last.
  const size_t count = std::clamp(losses_.size() / 10, size_t{1}, kMostAveraged);
  const double first = Mean(std::span(losses_).first(count)), last = Mean(std::span(losses_).last(count));
  const std::string lower = absl::StrFormat("lower train.optimizer.lr (it is %g)", learning_rate);
  const double blind = std::log(static_cast<double>(vocabulary));
  if (losses_.size() > 1 && !(last <= blind)) {
    return absl::StrFormat(
        "the training loss ended at %.2f, from %.2f at first, and blind guessing costs %.2f: %s; %s", last,
        first, blind, last < first ? "the model is worse than that still" : "nothing was learnt", lower);
  }
  if (losses_.size() < kFewestSteps || last < first) return "";
  return absl::StrFormat(
      "the training loss did not fall: %.2f at first, %.2f at the end; %s, or give it more steps "
      "(train.epochs)",
      first, last, lower);
}

}  // namespace ft::train
