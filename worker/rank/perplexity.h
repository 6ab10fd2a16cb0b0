// How well a model predicts text that it was not trained on.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/records/records.h"
#include "worker/data/cache/token_cache.h"
#include "worker/model/run/language_model.h"
#include "worker/rank/load_model.h"

namespace ft::rank {

// A file as samples of a model.
struct HeldOutText {
  std::string file;
  data::TokenCache samples;
  int64_t cut_samples = 0;
};

struct HeldOutOptions {
  std::filesystem::path
      attempt;  // Of the job whose model it is: the file is read as the job read its data. Empty = columns are guessed.
  std::string template_name;  // Empty = the job's, else that of the model's training.
  int64_t max_tokens =
      0;  // Of a sample; 0 = the job's, else as many as the model was made for, at most 2,048.
};

// INVALID_ARGUMENT and NOT_FOUND name the file and what is wrong. For some seconds a file of the samples lies in the system's
// folder for temporary ones.
StatusOr<HeldOutText> ReadHeldOut(const std::string& file, const Trained& trained,
                                  const HeldOutOptions& options);

// The mean loss of the tokens that count, in the order of the samples. `done` is called after each sample. INVALID_ARGUMENT for ids that
// the model has no rows for.
StatusOr<records::Eval> MeanLoss(const run::LanguageModel& model, const data::TokenCache& samples,
                                 const std::function<void()>& done);

}  // namespace ft::rank
