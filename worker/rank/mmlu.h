// MMLU (Hendrycks et al., arXiv 2009.03300) as XTuner 0.1.9 evaluates it: questions with four answers, five examples before each, and
// scores by subject, sub-category and category.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace ft::rank {

inline constexpr int kMmluChoices = 4;  // A to D.

struct MmluQuestion {
  std::string prompt;  // With its examples; ends in "Answer:".
  std::string subject;
  int right = 0;  // 0 to 3.
};

// five_shot_mmlu_val.json or _test.json of https://github.com/artidoro/qlora (data/mmlu): a list of {input, output, subject}.
// INVALID_ARGUMENT names the file, the entry and what is wrong: a subject that there is not, an answer that is none of A to D.
StatusOr<std::vector<MmluQuestion>> ReadMmlu(const std::filesystem::path& file);

struct MmluAnswer {
  std::string subject;
  int predicted = 0;
  int right = 0;
};

using MmluScore = std::pair<std::string, double>;  // A name, and the percentage that is right.

// Of what occurs, in the order of the tables.
struct MmluScores {
  std::vector<MmluScore> subjects;
  std::vector<MmluScore> subcategories;  // All their questions together, as are those of
  std::vector<MmluScore> categories;
  double average = 0;  // Plain mean over the subjects.
};

// REQUIRES: subjects that ReadMmlu accepts.
MmluScores ScoreMmlu(std::span<const MmluAnswer> answers);

}  // namespace ft::rank
