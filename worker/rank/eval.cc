#include "worker/rank/eval.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <set>

#include "absl/strings/str_format.h"
#include "core/base/counted.h"
#include "nlohmann/json.hpp"
#include "worker/data/prepare/model_files.h"
#include "worker/data/prepare/prompt_file.h"
#include "worker/rank/answer_flags.h"
#include "worker/rank/answer_mmlu.h"
#include "worker/rank/base.h"
#include "worker/rank/device.h"
#include "worker/rank/failure.h"
#include "worker/rank/flags.h"
#include "worker/rank/load_model.h"
#include "worker/rank/perplexity.h"
#include "worker/rank/settings.h"

namespace ft::rank {
namespace {

constexpr const char* kUsage =
    "usage: ft-rank eval [--model DIR] [--adapter DIR] [--attempt DIR]\n"
    "                    [--mmlu FILE] [--perplexity FILE]... [--prompts FILE]\n"
    "                    [--max-length N] [--dtype auto|bf16|fp16|fp32]\n"
    "                    [--base auto|stored|dequantised] [--bits 4|8]\n"
    "                    [--threads N] [--device auto|cpu|gpu] [--json]\n"
    "--mmlu: five_shot_mmlu_test.json or _val.json (data/mmlu of\n"
    "https://github.com/artidoro/qlora); the one in data/mmlu where none of the three\n"
    "is given. --perplexity: data of any kind that can be trained on, read as the job\n"
    "read its own, a .txt as plain text: the mean loss of what would be learnt, and\n"
    "its exponential. --prompts: a file of questions, each line of a .txt, else the\n"
    "field prompt, question, input or instruction of each record, answered as chat\n"
    "does, with chat's options. --max-length cuts longer texts at their end, prompts\n"
    "of MMLU as XTuner does at 2048. --json prints all scores, and a line\n"
    "{prompt, answer} for each prompt.\n";
constexpr const char* kTestFile = "data/mmlu/five_shot_mmlu_test.json";
constexpr size_t kMostPrompts = 1'000'000;

void PrintMmluJson(const MmluScores& scores, size_t questions) {
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

void PrintMmluTable(const MmluScores& scores, size_t questions) {
  for (const auto& [name, percent] : scores.categories) absl::PrintF("%-32s %5.1f\n", name, percent);
  absl::PrintF("%-32s %5.1f\n", "average", scores.average);
  absl::PrintF("%s of %s\n", Counted(static_cast<int64_t>(questions), "question"),
               Counted(static_cast<int64_t>(scores.subjects.size()), "subject"));
}

// How many of a number are done, on a terminal.
class Counter {
 public:
  explicit Counter(int64_t of) : of_(of) {}
  ~Counter() {
    if (terminal_ && done_ > 0) std::fprintf(stderr, "\n");
  }
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;
  void Add() {
    ++done_;
    if (terminal_) absl::FPrintF(stderr, "\r%d of %d", done_, of_);
  }

 private:
  const bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  const int64_t of_;
  int64_t done_ = 0;
};

// What is asked of the model, complete before it is loaded: what is wrong with files is said at once.
struct Sets {
  std::vector<MmluQuestion> questions;
  std::vector<HeldOutText> texts;
  std::vector<std::string> prompts;
  Answering answering;  // Of the prompts.
};

StatusOr<Sets> ReadSets(const Flags& flags, const Trained& trained, int64_t max_tokens) {
  Sets sets;
  const bool others = flags.Has("perplexity") || flags.Has("prompts");
  if (flags.Has("mmlu") || !others) {
    ASSIGN_OR_RETURN(sets.questions, ReadMmlu(flags.Get("mmlu", kTestFile)));
  }
  if (flags.Has("prompts")) {
    ASSIGN_OR_RETURN(sets.prompts, prepare::ReadPrompts(flags.Get("prompts"), kMostPrompts));
    ASSIGN_OR_RETURN(sets.answering, AnsweringOf(flags, trained));
  }
  for (const std::string& file : flags.All("perplexity")) {
    const HeldOutOptions options{
        .attempt = flags.Get("attempt"), .template_name = flags.Get("template"), .max_tokens = max_tokens};
    ASSIGN_OR_RETURN(HeldOutText text, ReadHeldOut(file, trained, options));
    sets.texts.push_back(std::move(text));
  }
  return sets;
}

StatusOr<std::unique_ptr<run::LanguageModel>> Load(const Flags& flags, const Trained& trained,
                                                   params::BaseKind base, at::Device device) {
  ASSIGN_OR_RETURN(std::string dtype, ResolveDtype({.dtype = flags.Get("dtype", "auto")}, device));
  ASSIGN_OR_RETURN(auto model,
                   LoadTrained(trained, {.dtype = std::move(dtype), .base = base, .device = device}));
  TellRemarks("eval", model->remarks());
  if (!trained.whole()) TellRemarks("eval", {BaseSentence(base, trained)});
  return model;
}

Status TellMmlu(const run::LanguageModel& model, const Trained& trained,
                const std::vector<MmluQuestion>& questions, int64_t max_tokens, bool json) {
  ASSIGN_OR_RETURN(const auto tokenizer, prepare::OpenModelTokenizer(trained.model));
  std::vector<MmluAnswer> answers;
  {
    Counter counter(static_cast<int64_t>(questions.size()));
    ASSIGN_OR_RETURN(answers, AnswerMmlu(model, *tokenizer, questions, max_tokens, [&] { counter.Add(); }));
  }
  const MmluScores scores = ScoreMmlu(answers);
  json ? PrintMmluJson(scores, questions.size()) : PrintMmluTable(scores, questions.size());
  return absl::OkStatus();
}

Status TellPerplexity(const run::LanguageModel& model, const HeldOutText& text, bool json) {
  records::Eval eval;
  {
    Counter counter(text.samples.samples());
    ASSIGN_OR_RETURN(eval, MeanLoss(model, text.samples, [&] { counter.Add(); }));
  }
  const double perplexity = std::exp(eval.loss);
  if (json) {
    const nlohmann::ordered_json line = {{"set", "perplexity"},
                                         {"file", text.file},
                                         {"samples", text.samples.samples()},
                                         {"cut_samples", text.cut_samples},
                                         {"tokens", eval.supervised_tokens},
                                         {"loss", eval.loss},
                                         {"perplexity", perplexity}};
    absl::PrintF("%s\n", line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    return absl::OkStatus();
  }
  absl::PrintF("%s: perplexity %.4g, loss %.4f over %s of %s", text.file, perplexity, eval.loss,
               Counted(eval.supervised_tokens, "token"), Counted(text.samples.samples(), "sample"));
  absl::PrintF("%s\n", text.cut_samples > 0 ? absl::StrFormat(" (%d cut)", text.cut_samples) : "");
  return absl::OkStatus();
}

Status TellAnswers(const run::LanguageModel& model, const Sets& sets, bool json) {
  for (const std::string& prompt : sets.prompts) {
    const data::Turn turn{.system = sets.answering.system, .input = prompt};
    ASSIGN_OR_RETURN(const Answer answer, sets.answering.responder->Reply(model, {}, turn, nullptr));
    if (json) {
      const nlohmann::ordered_json line = {{"prompt", prompt}, {"answer", answer.text}};
      absl::PrintF("%s\n", line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
    } else {
      absl::PrintF("> %s\n%s\n\n", prompt, answer.text);
    }
    std::fflush(stdout);  // Whoever reads a long file's answers need not wait for the last.
  }
  return absl::OkStatus();
}

Status Evaluate(const Flags& flags) {
  ASSIGN_OR_RETURN(const int64_t threads, flags.Int("threads", ::sysconf(_SC_NPROCESSORS_ONLN)));
  ASSIGN_OR_RETURN(const int64_t max_tokens, flags.Int("max-length", 0));
  if (max_tokens < 0) return absl::InvalidArgumentError("--max-length must not be below 0");
  ASSIGN_OR_RETURN(const Trained trained, ResolveTrained(flags.Get("model"), flags.Get("adapter")));
  ASSIGN_OR_RETURN(const params::BaseKind base, BaseOf(flags, trained));
  ASSIGN_OR_RETURN(const Sets sets, ReadSets(flags, trained, max_tokens));
  ASSIGN_OR_RETURN(const at::Device device, OpenDevice(flags.Get("device", "auto")));
  FixNumerics(static_cast<int>(threads));
  ASSIGN_OR_RETURN(const auto model, Load(flags, trained, base, device));
  const bool json = flags.Has("json");
  if (!sets.questions.empty()) RETURN_IF_ERROR(TellMmlu(*model, trained, sets.questions, max_tokens, json));
  for (const HeldOutText& text : sets.texts) RETURN_IF_ERROR(TellPerplexity(*model, text, json));
  return TellAnswers(*model, sets, json);
}

}  // namespace

int EvalVerb(const std::vector<std::string>& arguments) {
  std::set<std::string> names = AnswerFlagNames();
  names.insert({"model", "adapter", "attempt", "mmlu", "perplexity", "prompts", "max-length", "dtype", "base",
                "bits", "threads", "device"});
  const StatusOr<Flags> flags = Flags::Parse(arguments, names, {"json", "help"});
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
