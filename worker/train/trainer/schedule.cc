#include "worker/train/trainer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ft::train {

int64_t WarmupSteps(const recipe::ScheduleSpec& schedule, int64_t total_steps) {
  const double steps =
      schedule.warmup < 1 ? std::ceil(schedule.warmup * static_cast<double>(total_steps)) : schedule.warmup;
  return std::min(static_cast<int64_t>(steps), total_steps);
}

double LearningRate(const recipe::ScheduleSpec& schedule, double peak, int64_t step, int64_t total_steps) {
  const int64_t warmup = WarmupSteps(schedule, total_steps);
  if (step <= warmup) return peak * static_cast<double>(step) / static_cast<double>(warmup);
  const double t = static_cast<double>(step - 1 - warmup) /
                   static_cast<double>(std::max<int64_t>(1, total_steps - warmup));
  if (schedule.kind == "cosine") return peak / 2 * (1 + std::cos(std::numbers::pi * std::min(t, 1.0)));
  if (schedule.kind == "linear") return peak * std::max(0.0, 1 - t);
  return peak;
}

double LearningRate(const RatePlan& plan, int64_t step) {
  if (plan.schedule.by == "micro_batch") {
    const int64_t last = std::min(step * plan.micro_batches_per_step, plan.total_micro_batches);
    return LearningRate(plan.schedule, plan.peak, last, plan.total_micro_batches);
  }
  const int64_t warmup = WarmupSteps(plan.schedule, plan.total_steps);
  if (plan.warmup_from_zero && step <= warmup)
    return plan.peak * static_cast<double>(step - 1) / static_cast<double>(warmup);
  return LearningRate(plan.schedule, plan.peak, step, plan.total_steps);
}

}  // namespace ft::train
