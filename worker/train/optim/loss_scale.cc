#include "worker/train/optim/loss_scale.h"

#include <algorithm>

#include "worker/device/staging.h"

namespace ft::optim {
namespace {

constexpr float kLargestHalf = 65504;
constexpr double kCeiling = 16777216;  // 2^24: beyond it a gradient of 1/256 overflows.

}  // namespace

void LossScale::Restore(double value, int64_t good_steps) {
  value_ = value;
  good_steps_ = good_steps;
}

bool LossScale::Overflows(const torch::Tensor& scaled_gradients) const {
  if (!enabled_ || scaled_gradients.numel() == 0) return false;
  const auto [least, most] = at::aminmax(scaled_gradients);
  const torch::Tensor range = device::Download(at::stack({least, most}));
  const float* ends = range.const_data_ptr<float>();
  // Written so that not a number, which passes through, is an overflow.
  return !(ends[0] >= -kLargestHalf && ends[1] <= kLargestHalf);
}

void LossScale::NoteOverflow() {
  value_ = std::max(1.0, value_ / 2);
  good_steps_ = 0;
}

void LossScale::NoteGoodStep() {
  if (!enabled_ || ++good_steps_ < config_.growth_steps) return;
  value_ = std::min(kCeiling, value_ * 2);
  good_steps_ = 0;
}

}  // namespace ft::optim
