#include "worker/rank/sample_chats.h"

#include <algorithm>
#include <utility>

namespace ft::rank {
namespace {

constexpr const char* kPrompts = "train.evaluate.prompts";
constexpr int64_t kTokensBeforeTraining = 50;  // XTuner 0.1.9's, of a model that cannot end an answer yet.

// Odd numbers (of the golden ratio, of MurmurHash3) that keep the seeds of steps and prompts apart.
constexpr uint64_t kStepStride = 0x9E3779B97F4A7C15, kPromptStride = 0xFF51AFD7ED558CCD;

}  // namespace

generate::GenerateOptions SampleOptions(const recipe::JobSpec& spec, int64_t step, size_t index) {
  generate::GenerateOptions options{.max_new_tokens = spec.train.evaluate.max_new_tokens};
  if (!recipe::HasXTunersHabits(spec)) return options;
  if (step == 0) options.max_new_tokens = std::min(options.max_new_tokens, kTokensBeforeTraining);
  options.temperature = 0.1;
  options.top_k = 40;
  options.top_p = 0.75;
  options.seed = spec.train.seed + static_cast<uint64_t>(step) * kStepStride + index * kPromptStride;
  return options;
}

StatusOr<std::unique_ptr<SampleChats>> SampleChats::Open(const recipe::JobSpec& spec,
                                                         const checkpoint::TextConfig& text, int64_t date) {
  std::unique_ptr<SampleChats> chats(new SampleChats(spec));
  const recipe::EvaluateSpec& evaluate = spec.train.evaluate;
  checkpoint::TextConfig own = text;
  if (!evaluate.template_name.empty()) own.template_name = evaluate.template_name;
  auto responder =
      ChatResponder::Open(spec.model.source, own, {.stop_words = evaluate.stop_words, .date = date});
  if (!responder.ok()) {
    return WithContext(responder.status(),
                       evaluate.template_name.empty() ? kPrompts : "train.evaluate.template");
  }
  chats->responder_ = *std::move(responder);
  return chats;
}

StatusOr<std::vector<records::Sample>> SampleChats::Answer(
    const run::LanguageModel& model, int64_t step, const std::function<void(std::string_view)>& beat) {
  const recipe::EvaluateSpec& evaluate = spec_.train.evaluate;
  std::vector<records::Sample> samples;
  for (size_t i = 0; i < evaluate.prompts.size(); ++i) {
    responder_->set_generate(SampleOptions(spec_, step, i));
    const data::Turn turn{.system = evaluate.system, .input = evaluate.prompts[i]};
    const StatusOr<ft::rank::Answer> answer = responder_->Reply(model, {}, turn, beat);
    if (!answer.ok()) return WithContext(answer.status(), kPrompts);
    samples.push_back({step, evaluate.prompts[i], answer->text});
  }
  return samples;
}

}  // namespace ft::rank
