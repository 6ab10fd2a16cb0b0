#include "worker/rank/eval.h"

#include <unistd.h>

#include <array>
#include <cstdio>

#include "absl/strings/str_format.h"
#include "core/base/counted.h"
#include "nlohmann/json.hpp"
#include "worker/data/prepare/model_files.h"
#include "worker/model/generate/generate.h"
#include "worker/rank/base.h"
#include "worker/rank/device.h"
#include "worker/rank/failure.h"
#include "worker/rank/flags.h"
#include "worker/rank/load_model.h"
#include "worker/rank/settings.h"

namespace ft::rank {
namespace {

constexpr const char* kUsage =
    "usage: ft-rank eval [--model DIR] [--adapter DIR] [--mmlu FILE] [--max-length N]\n"
    "                    [--dtype auto|bf16|fp16|fp32] [--base auto|stored|dequantised]\n"
    "                    [--bits 4|8] [--threads N] [--device auto|cpu|gpu] [--json]\n"
    "FILE is five_shot_mmlu_test.json or _val.json (https://github.com/artidoro/qlora,\n"
    "data/mmlu); without --mmlu it is looked for in data/mmlu. --max-length cuts longer\n"
    "prompts at their end, as XTuner does at 2048. --json prints all scores.\n";
constexpr const char* kTestFile = "data/mmlu/five_shot_mmlu_test.json";

// The first token of each letter, which the model has a row for.
StatusOr<std::array<int32_t, kMmluChoices>> ChoiceTokens(const tokenizer::Tokenizer& tokenizer,
                                                         int64_t rows) {
  std::array<int32_t, kMmluChoices> tokens{};
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string letter(1, static_cast<char>('A' + i));
    ASSIGN_OR_RETURN(const std::vector<int32_t> ids, tokenizer.Encode(letter));
    if (ids.empty() || ids.front() >= rows)
      return absl::InvalidArgumentError(StrCat("the model has no token for \"", letter, "\""));
    tokens[i] = ids.front();
  }
  return tokens;
}

void PrintJson(const MmluScores& scores, size_t questions) {
  nlohmann::ordered_json json = {{"set", "mmlu_five_shot"}, {"questions", questions}};
  const auto put = [&json](const char* key, const std::vector<MmluScore>& rows) {
    json[key] = nlohmann::ordered_json::object();
    for (const auto& [name, percent] : rows) json[key][name] = percent;
  };
  put("subjects", scores.subjects);
  put("subcategories", scores.subcategories);
  put("categories", scores.categories);
  json["average"] = scores.average;
  absl::PrintF("%s\n", json.dump(2));
}

void PrintTable(const MmluScores& scores, size_t questions) {
  for (const auto& [name, percent] : scores.categories) absl::PrintF("%-32s %5.1f\n", name, percent);
  absl::PrintF("%-32s %5.1f\n", "average", scores.average);
  absl::PrintF("%s of %s\n", Counted(static_cast<int64_t>(questions), "question"),
               Counted(static_cast<int64_t>(scores.subjects.size()), "subject"));
}

Status Evaluate(const Flags& flags) {
  ASSIGN_OR_RETURN(const int64_t threads, flags.Int("threads", ::sysconf(_SC_NPROCESSORS_ONLN)));
  ASSIGN_OR_RETURN(const int64_t max_tokens, flags.Int("max-length", 0));
  if (max_tokens < 0) return absl::InvalidArgumentError("--max-length must not be below 0");
  // What is wrong with the questions is said before the model is loaded.
  ASSIGN_OR_RETURN(const std::vector<MmluQuestion> questions, ReadMmlu(flags.Get("mmlu", kTestFile)));
  ASSIGN_OR_RETURN(const at::Device device, OpenDevice(flags.Get("device", "auto")));
  FixNumerics(static_cast<int>(threads));
  ASSIGN_OR_RETURN(const Trained trained, ResolveTrained(flags.Get("model"), flags.Get("adapter")));
  ASSIGN_OR_RETURN(const params::BaseKind base, BaseOf(flags, trained));
  ASSIGN_OR_RETURN(const auto tokenizer, prepare::OpenModelTokenizer(trained.model));
  ASSIGN_OR_RETURN(std::string dtype, ResolveDtype({.dtype = flags.Get("dtype", "auto")}, device));
  ASSIGN_OR_RETURN(const auto model,
                   LoadTrained(trained, {.dtype = std::move(dtype), .base = base, .device = device}));
  TellRemarks("eval", model->remarks());
  if (!trained.whole()) TellRemarks("eval", {BaseSentence(base, trained)});
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  size_t answered = 0;
  const auto done = [&] {
    if (terminal) std::fprintf(stderr, "\r%zu of %zu", ++answered, questions.size());
  };
  ASSIGN_OR_RETURN(const std::vector<MmluAnswer> answers,
                   AnswerMmlu(*model, *tokenizer, questions, max_tokens, done));
  if (terminal) std::fprintf(stderr, "\n");
  const MmluScores scores = ScoreMmlu(answers);
  flags.Has("json") ? PrintJson(scores, questions.size()) : PrintTable(scores, questions.size());
  return absl::OkStatus();
}

}  // namespace

StatusOr<std::vector<MmluAnswer>> AnswerMmlu(const run::LanguageModel& model,
                                             const tokenizer::Tokenizer& tokenizer,
                                             std::span<const MmluQuestion> questions, int64_t max_tokens,
                                             const std::function<void()>& done) {
  ASSIGN_OR_RETURN(const auto choices, ChoiceTokens(tokenizer, model.config().vocabulary));
  std::vector<MmluAnswer> answers;
  for (const MmluQuestion& question : questions) {
    ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.Encode(question.prompt, {.add_bos = true}));
    if (max_tokens > 0 && static_cast<int64_t>(ids.size()) > max_tokens)
      ids.resize(static_cast<size_t>(max_tokens));
    const int64_t room = model.config().max_positions;
    if (static_cast<int64_t>(ids.size()) > room) {
      return absl::InvalidArgumentError(StrCat("question ", answers.size() + 1, " (", question.subject,
                                               ") has ", ids.size(), " tokens and the model takes ", room,
                                               ": --max-length ", room, " cuts it"));
    }
    ASSIGN_OR_RETURN(const std::vector<float> logits, generate::NextLogits(model, ids));
    int best = 0;
    for (int i = 1; i < kMmluChoices; ++i) {
      if (logits[static_cast<size_t>(choices[static_cast<size_t>(i)])] >
          logits[static_cast<size_t>(choices[static_cast<size_t>(best)])])
        best = i;
    }
    answers.push_back({question.subject, best, question.right});
    if (done) done();
  }
  return answers;
}

int EvalVerb(const std::vector<std::string>& arguments) {
  const StatusOr<Flags> flags = Flags::Parse(
      arguments,
      {"model", "adapter", "attempt", "mmlu", "max-length", "dtype", "base", "bits", "threads", "device"},
      {"json", "help"});
  if (!flags.ok()) return Complain("eval", flags.status());
  const bool named = flags->Has("model") || flags->Has("adapter");
  if (flags->Has("help") || !named || !flags->positional().empty()) {
    std::fputs(kUsage, flags->Has("help") ? stdout : stderr);
    return flags->Has("help") ? 0 : 2;
  }
  const Status status = Guarded([&] { return Evaluate(*flags); });
  return status.ok() ? 0 : Complain("eval", status);
}

}  // namespace ft::rank
