// The sample prompts of a training: how they are put and answered. docs/job-file.md, train.evaluate.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "core/recipe/job_spec.h"
#include "core/records/records.h"
#include "worker/rank/chat_responder.h"

namespace ft::rank {

// How prompt `index` is answered after `step`: greedily, or as XTuner does where the job has its habits. Draws are a function of the
// job's seed, step and index, so answers are the same whenever and wherever they are computed.
generate::GenerateOptions SampleOptions(const recipe::JobSpec& spec, int64_t step, size_t index);

// Lives on the model's thread.
class SampleChats {
 public:
  // `date`: see ChatResponder::Options. Errors name the key of the job.
  static StatusOr<std::unique_ptr<SampleChats>> Open(const recipe::JobSpec& spec,
                                                     const checkpoint::TextConfig& text, int64_t date);

  // The answers of the model as it is after `step`, in the order of the prompts. `beat` is called for each token.
  StatusOr<std::vector<records::Sample>> Answer(const run::LanguageModel& model, int64_t step,
                                                const std::function<void(std::string_view)>& beat);

 private:
  explicit SampleChats(const recipe::JobSpec& spec) : spec_(spec) {}

  const recipe::JobSpec spec_;
  std::unique_ptr<ChatResponder> responder_;
};

}  // namespace ft::rank
