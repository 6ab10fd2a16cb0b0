// Dynamic loss scaling for fp16 (Micikevicius et al., "Mixed Precision Training", arXiv 1710.03740, section 3.2). The loss is
// multiplied by a power of two, so that small gradients do not vanish; the gradients are divided by it again, which is exact.
// A step whose gradients leave fp16's range is skipped and halves the scale; so many good steps in a row double it.
#pragma once

#include <torch/types.h>

#include <cstdint>

namespace ft::optim {

struct LossScaleConfig {
  double initial = 65536;       // A power of two.
  int64_t growth_steps = 2000;  // Good steps in a row before it doubles.
};

class LossScale {
 public:
  // Without a config there is nothing to scale: value() stays 1.
  LossScale() = default;
  explicit LossScale(LossScaleConfig config) : config_(config), enabled_(true), value_(config.initial) {}

  bool enabled() const { return enabled_; }
  double value() const { return value_; }
  int64_t good_steps() const { return good_steps_; }  // In a row, since the last change.
  // For resume.
  void Restore(double value, int64_t good_steps);

  // Whether scaled gradients overflow what fp16 holds: not finite, or above 65504. Never when there is no scaling. (The CPU
  // computes in fp32 and would go on far beyond; the range is that of the hardware the type is for.)
  bool Overflows(const torch::Tensor& scaled_gradients) const;
  // Whether the scale can shrink no further, so that an overflow is the model's own.
  bool AtFloor() const { return value_ <= 1; }

  void NoteOverflow();
  void NoteGoodStep();

 private:
  LossScaleConfig config_;
  bool enabled_ = false;
  double value_ = 1;
  int64_t good_steps_ = 0;
};

}  // namespace ft::optim
