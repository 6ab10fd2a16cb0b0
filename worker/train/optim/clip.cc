#include "worker/train/optim/clip.h"

#include <cmath>

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

double GlobalNorm(const std::vector<params::ParamRef>& parameters) {
  double total = 0;
  for (const params::ParamRef& p : parameters) {
    const float* values = p.gradient.const_data_ptr<float>();
    const int64_t count = p.gradient.numel();
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      total += BlockSum(values + begin, std::min(kBlock, count - begin));
    }
  }
  return std::sqrt(total);
}

void ClipByNorm(const std::vector<params::ParamRef>& parameters, double norm, double max_norm) {
  if (max_norm <= 0) return;
  const double coefficient = max_norm / (norm + 1e-6);
  if (coefficient >= 1) return;
  for (const params::ParamRef& p : parameters) torch::Tensor(p.gradient).mul_(coefficient);
}

std::string FirstNonFinite(const std::vector<params::ParamRef>& parameters) {
  for (const params::ParamRef& p : parameters) {
    if (!torch::isfinite(p.gradient).all().item<bool>()) return p.name;
  }
  return "";
}

}  // namespace ft::optim
