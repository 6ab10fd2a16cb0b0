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
  double difference =
      0;  // The largest difference of a logit over kAgreementPrompts, relative to the largest logit.
  double limit = 0;                                    // What rounding to the merged model's type explains.
  bool within() const { return difference <= limit; }  // False for what is no number.
};

inline constexpr int kAgreementPrompts = 32;

// Loads one model after the other in float32 and compares them on prompts of random tokens. Nothing where memory for that is not
// free. REQUIRES: an adapter, and `merged` was written from it.
StatusOr<std::optional<Agreement>> CompareMerged(const Trained& trained, Base base,
                                                 const std::filesystem::path& merged,
                                                 const checkpoint::WrittenModel& written);

}  // namespace ft::rank
