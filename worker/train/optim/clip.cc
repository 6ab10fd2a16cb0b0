#include "worker/train/optim/clip.h"

#include <algorithm>
#include <cmath>

#include "worker/device/staging.h"

namespace ft::optim {
namespace {

constexpr int64_t kBlock = 256;
constexpr int kLanes = 16;

// Sixteen running sums, then folded in halves: one order, whatever the compiler vectorises.
double BlockSum(const float* values, int64_t count) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += values[i + lane] * values[i + lane];
  }
  for (int lane = 0; i < count; ++i, ++lane) lanes[lane] += values[i] * values[i];
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int lane = 0; lane < width; ++lane) lanes[lane] += lanes[lane + width];
  }
  return lanes[0];
}

}  // namespace

double GlobalNorm(const params::ParameterStore& store) {
  double total = 0;
  for (int i = 0; i < store.size(); ++i) {
    const torch::Tensor gradient = device::Download(store.gradient(i));
    const float* values = gradient.const_data_ptr<float>();
    const int64_t count = gradient.numel();
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      total += BlockSum(values + begin, std::min(kBlock, count - begin));
    }
  }
  return std::sqrt(total);
}

void ClipByNorm(params::ParameterStore& store, double norm, double max_norm) {
  if (max_norm <= 0) return;
  const double coefficient = max_norm / (norm + 1e-6);
  if (coefficient < 1) store.gradients().mul_(coefficient);
}

std::string FirstNonFinite(const params::ParameterStore& store) {
  for (int i = 0; i < store.size(); ++i) {
    if (!torch::isfinite(store.gradient(i)).all().item<bool>()) return store.name(i);
  }
  return "";
}

}  // namespace ft::optim
