// Whether a merged model computes what its base with the adapter computes.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "worker/rank/base.h"
#include "worker/rank/load_model.h"
#include "worker/train/checkpoint/write_model.h"

namespace ft::rank {

struct Agreement {
  // The largest difference of a logit over kAgreementPrompts, relative to the largest logit. Of a model with experts in 16 bits that of
  // the row in the middle: a rounding sends some rows to other experts (docs/decisions/0101), and half of them at least it must not.
  double difference = 0;
  bool of_middle_row = false;
  double limit = 0;                                    // What rounding to the merged model's type explains.
  bool within() const { return difference <= limit; }  // False for what is no number.
};

inline constexpr int kAgreementPrompts = 32;

// Loads one model after the other in float32 and compares them on prompts of random tokens. Nothing where memory for that is not
// free. REQUIRES: an adapter, and `merged` was written from it.
StatusOr<std::optional<Agreement>> CompareMerged(const Trained& trained, params::BaseKind base,
                                                 const std::filesystem::path& merged,
                                                 const checkpoint::WrittenModel& written);

}  // namespace ft::rank
