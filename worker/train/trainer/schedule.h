// The learning rate as a pure function of the step, or of the micro-batches up to it.
#pragma once

#include <cstdint>

#include "core/recipe/job_spec.h"

namespace ft::train {

// Warm-up steps of a run: a share of all steps (rounded up) when `warmup` is below 1, else a number of steps.
int64_t WarmupSteps(const recipe::ScheduleSpec& schedule, int64_t total_steps);

// The rate of optimizer step `step` (1..total_steps). Warm-up rises linearly and reaches `peak` at its last step. After
// it: cosine peak/2 (1 + cos(pi t)), linear peak (1 - t), or constant, with t = (step - 1 - warmup) / (total - warmup),
// so the first step after warm-up has the full rate and the rate would be 0 one step after the end.
double LearningRate(const recipe::ScheduleSpec& schedule, double peak, int64_t step, int64_t total_steps);

// What the rates of a job's steps follow from.
struct RatePlan {
  recipe::ScheduleSpec schedule;
  double peak = 0;
  int64_t total_steps = 0;
  // Of one rank as submitted (data::BatchSampler's iterations), where the schedule goes by micro-batches.
  int64_t total_micro_batches = 0;
  int64_t micro_batches_per_step = 1;
  // Warm-up starts at 0, one step later than ours, as the Trainer of transformers has it.
  bool warmup_from_zero = false;
};

// By steps the rate of `step`; by micro-batches that of the step's last one, of which warm-up then has so many too.
double LearningRate(const RatePlan& plan, int64_t step);

}  // namespace ft::train
