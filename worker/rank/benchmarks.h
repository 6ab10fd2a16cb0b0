// The benchmarks of a training (docs/job-file.md, train.evaluate.sets): which files, and their scores by all ranks together.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/recipe/job_spec.h"
#include "core/records/records.h"
#include "worker/data/tokenizer/tokenizer.h"
#include "worker/model/run/language_model.h"
#include "worker/rank/mmlu.h"
#include "worker/train/comm/comm.h"

namespace ft::rank {

// Lives on the model's thread.
class Benchmarks {
 public:
  // Reads the files. Errors name the key of the job, or the file and the entry.
  static StatusOr<std::unique_ptr<Benchmarks>> Open(const recipe::JobSpec& spec);

  // The scores of the model as it is after `step`, in the order of the sets; the same on every rank and for any number of them.
  // COLLECTIVE: each rank answers its share of the questions. `beat` is called after each of them. After each round the ranks ask
  // `goes_on`, which must answer the same on all: where it is false, nothing is returned.
  StatusOr<std::vector<records::Score>> Answer(const run::LanguageModel& model, int64_t step,
                                               comm::Comm& comm, const std::function<void()>& beat,
                                               const std::function<StatusOr<bool>()>& goes_on) const;

 private:
  struct Set {
    std::string name;
    std::vector<MmluQuestion> questions;
  };

  std::unique_ptr<tokenizer::Tokenizer> tokenizer_;
  int64_t max_tokens_ = 0;
  std::vector<Set> sets_;
};

}  // namespace ft::rank
