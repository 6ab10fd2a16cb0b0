#include "worker/rank/chat.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>

#include "nlohmann/json.hpp"
#include "worker/rank/answer_flags.h"
#include "worker/rank/base.h"
#include "worker/rank/device.h"
#include "worker/rank/failure.h"
#include "worker/rank/flags.h"
#include "worker/rank/load_model.h"
#include "worker/rank/settings.h"

namespace ft::rank {
namespace {

constexpr const char* kUsage =
    "usage: ft-rank chat [--model DIR] [--adapter DIR] [--prompt TEXT]...\n"
    "                    [--system TEXT | --system-template NAME [--bot-name NAME]]\n"
    "                    [--template NAME] [--stop-word TEXT]... [--max-new-tokens N]\n"
    "                    [--temperature X] [--top-k K] [--top-p P] [--seed S]\n"
    "                    [--repetition-penalty X] [--dtype auto|bf16|fp16|fp32]\n"
    "                    [--base auto|stored|dequantised] [--bits 4|8]\n"
    "                    [--threads N] [--device auto|cpu|gpu] [--json]\n"
    "Without --prompt it reads lines from standard input: an answer to each, /reset\n"
    "forgets what was said, /exit leaves. --temperature 0 (the default) always takes\n"
    "the most probable word. --stop-word ends an answer and is no part of it.\n"
    "--system-template is one of XTuner's texts: alpaca, arxiv_gentile, coder,\n"
    "colorist, lawyer, medical, moss_sft, msagent_react, sql; --bot-name (BOT) is the\n"
    "name in it. --base says which values the base model has: auto is those of the\n"
    "training, quantised for qlora and int8_lora; --bits 4 or 8 quantises any model\n"
    "when it is loaded (NF4; by rows), a plain one too. --json prints a line\n"
    "{prompt, answer, tokens, first_token_seconds, seconds} for each --prompt.\n";

// An answer, and how long after the question it began and ended.
struct TimedAnswer {
  Answer answer;
  double first_token_seconds = 0;
  double seconds = 0;
};

// A model ready to answer, and what was said so far.
class ChatSession {
 public:
  static StatusOr<std::unique_ptr<ChatSession>> Open(const Flags& flags, at::Device device);

  // The answer to `input`, streamed to standard output unless `quiet`.
  StatusOr<TimedAnswer> Reply(const std::string& input, bool quiet);
  void Reset() { past_.clear(); }

 private:
  std::unique_ptr<run::LanguageModel> model_;
  Answering answering_;
  data::Conversation past_;
};

StatusOr<std::unique_ptr<ChatSession>> ChatSession::Open(const Flags& flags, at::Device device) {
  auto session = std::make_unique<ChatSession>();
  ASSIGN_OR_RETURN(const Trained trained, ResolveTrained(flags.Get("model"), flags.Get("adapter")));
  ASSIGN_OR_RETURN(const params::BaseKind base, BaseOf(flags, trained));
  ASSIGN_OR_RETURN(session->answering_, AnsweringOf(flags, trained));
  ASSIGN_OR_RETURN(std::string dtype, ResolveDtype({.dtype = flags.Get("dtype", "auto")}, device));
  const run::ModelOptions model_options{.dtype = std::move(dtype), .base = base, .device = device};
  ASSIGN_OR_RETURN(session->model_, LoadTrained(trained, model_options));
  TellRemarks("chat", session->model_->remarks());
  // What else answers with this adapter answers alike only over the same base.
  if (!trained.whole()) TellRemarks("chat", {BaseSentence(base, trained)});
  return session;
}

StatusOr<TimedAnswer> ChatSession::Reply(const std::string& input, bool quiet) {
  data::Turn turn{.system = past_.empty() ? answering_.system : "", .input = input};
  const auto asked = std::chrono::steady_clock::now();
  const auto elapsed = [asked] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count();
  };
  TimedAnswer timed;
  const auto show = [&](std::string_view text) {
    if (timed.first_token_seconds == 0) timed.first_token_seconds = elapsed();
    if (quiet) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  ASSIGN_OR_RETURN(timed.answer, answering_.responder->Reply(*model_, past_, turn, show));
  timed.seconds = elapsed();
  if (!quiet) std::printf("\n");
  turn.output = timed.answer.text;
  past_.push_back(std::move(turn));
  return timed;
}

Status Converse(ChatSession& session) {
  const bool terminal = ::isatty(STDIN_FILENO) == 1;
  std::string line;
  while (true) {
    if (terminal) {
      std::printf("> ");
      std::fflush(stdout);
    }
    if (!std::getline(std::cin, line) || line == "/exit") return absl::OkStatus();
    if (line == "/reset") {
      session.Reset();
    } else if (!line.empty()) {
      RETURN_IF_ERROR(session.Reply(line, /*quiet=*/false).status());
    }
  }
}

Status AnswerEach(ChatSession& session, const std::vector<std::string>& prompts, bool json) {
  for (const std::string& prompt : prompts) {
    session.Reset();
    ASSIGN_OR_RETURN(const TimedAnswer timed, session.Reply(prompt, /*quiet=*/json));
    if (!json) continue;
    const nlohmann::ordered_json out = {{"prompt", prompt},
                                        {"answer", timed.answer.text},
                                        {"tokens", timed.answer.ids},
                                        {"first_token_seconds", timed.first_token_seconds},
                                        {"seconds", timed.seconds}};
    std::printf("%s\n", out.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace).c_str());
  }
  return absl::OkStatus();
}

Status Chat(const Flags& flags) {
  ASSIGN_OR_RETURN(const int64_t threads, flags.Int("threads", ::sysconf(_SC_NPROCESSORS_ONLN)));
  ASSIGN_OR_RETURN(const at::Device device, OpenDevice(flags.Get("device", "auto")));
  FixNumerics(static_cast<int>(threads));
  ASSIGN_OR_RETURN(const auto session, ChatSession::Open(flags, device));
  if (flags.Has("prompt")) return AnswerEach(*session, flags.All("prompt"), flags.Has("json"));
  return Converse(*session);
}

}  // namespace

int ChatVerb(const std::vector<std::string>& arguments) {
  std::set<std::string> names = AnswerFlagNames();
  names.insert({"model", "adapter", "attempt", "prompt", "dtype", "base", "bits", "threads", "device"});
  const StatusOr<Flags> flags = Flags::Parse(arguments, names, {"json", "help"});
  if (!flags.ok()) return Complain("chat", flags.status());
  const bool named = flags->Has("model") || flags->Has("adapter");
  if (flags->Has("help") || !named || !flags->positional().empty()) {
    std::fputs(kUsage, flags->Has("help") ? stdout : stderr);
    return flags->Has("help") ? 0 : 2;
  }
  const Status status = Guarded([&] { return Chat(*flags); });
  return status.ok() ? 0 : Complain("chat", status);
}

}  // namespace ft::rank
