// The newest results of a job's evaluations, as its progress holds them.
#pragma once

#include <cstdint>
#include <string_view>

#include "finetune/v1/jobs.pb.h"

namespace ft::series {

inline constexpr int kMaxEvaluations = 64;  // Of a job; results of more sets are in its metrics alone.

// A mean loss over `tokens` of the share held out (recipe::kHoldout), or of a file of held-out data.
void NoteLoss(std::string_view name, int64_t step, double loss, int64_t tokens,
              finetune::v1::JobProgress& progress);

// The percentage of a benchmark's questions that is answered right.
void NoteScore(std::string_view name, int64_t step, double score, int64_t questions,
               finetune::v1::JobProgress& progress);

}  // namespace ft::series
