#include "worker/rank/answer_flags.h"

#include <ctime>
#include <utility>

#include "absl/strings/str_replace.h"
#include "core/recipes/texts.h"

namespace ft::rank {
namespace {

constexpr const char* kBotName = "BOT";  // XTuner's.

StatusOr<generate::GenerateOptions> GenerateOptionsOf(const Flags& flags) {
  generate::GenerateOptions options;
  ASSIGN_OR_RETURN(options.max_new_tokens, flags.Int("max-new-tokens", 256));
  ASSIGN_OR_RETURN(options.temperature, flags.Number("temperature", 0));
  ASSIGN_OR_RETURN(options.top_k, flags.Int("top-k", 40));
  ASSIGN_OR_RETURN(options.top_p, flags.Number("top-p", 0.75));
  ASSIGN_OR_RETURN(options.repetition_penalty, flags.Number("repetition-penalty", 1));
  ASSIGN_OR_RETURN(const int64_t seed, flags.Int("seed", 0));
  options.seed = static_cast<uint64_t>(seed);
  RETURN_IF_ERROR(generate::CheckOptions(options));
  return options;
}

StatusOr<std::string> SystemOf(const Flags& flags, const Trained& trained) {
  if (flags.Has("bot-name") && !flags.Has("system-template"))
    return absl::InvalidArgumentError("--bot-name is of --system-template only");
  if (!flags.Has("system-template")) return flags.Get("system", trained.text.system);
  if (flags.Has("system"))
    return absl::InvalidArgumentError(
        "--system and --system-template stand beside each other: give one of the two");
  StatusOr<std::string> text = recipes::SystemText(flags.Get("system-template"));
  if (!text.ok()) return WithContext(text.status(), "--system-template");
  return absl::StrReplaceAll(*text, {{"{bot_name}", flags.Get("bot-name", kBotName)}});
}

}  // namespace

std::set<std::string> AnswerFlagNames() {
  return {"max-new-tokens", "temperature", "top-k",  "top-p",     "repetition-penalty",
          "seed",           "template",    "system", "stop-word", "system-template",
          "bot-name"};
}

StatusOr<Answering> AnsweringOf(const Flags& flags, const Trained& trained) {
  checkpoint::TextConfig text = trained.text;
  text.template_name = flags.Get("template", text.template_name);
  ChatResponder::Options options{.stop_words = flags.All("stop-word"),
                                 .stops_at_template_words = true,
                                 .date = static_cast<int64_t>(std::time(nullptr))};
  for (const std::string& word : options.stop_words) {
    if (word.empty())
      return absl::InvalidArgumentError("--stop-word is empty: give the text that ends an answer");
  }
  ASSIGN_OR_RETURN(options.generate, GenerateOptionsOf(flags));
  Answering answering;
  ASSIGN_OR_RETURN(answering.system, SystemOf(flags, trained));
  ASSIGN_OR_RETURN(answering.responder, ChatResponder::Open(trained.model, text, std::move(options)));
  return answering;
}

}  // namespace ft::rank
