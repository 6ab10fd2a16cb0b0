// ft-rank: one device's share of a job, and everything else that needs the model itself. Each verb is a
// function that takes the arguments behind its name and returns the exit status.
#include <cstdio>
#include <string>
#include <vector>

#include "worker/rank/chat.h"
#include "worker/rank/environment.h"
#include "worker/rank/eval.h"
#include "worker/rank/model_verbs.h"
#include "worker/rank/plan.h"
#include "worker/rank/run.h"
#include "worker/rank/settings.h"

namespace {

struct Verb {
  const char* name;
  const char* purpose;
  int (*run)(const std::vector<std::string>& arguments);
};

constexpr Verb kVerbs[] = {
    {"run", "one rank of one attempt: run --attempt DIR --rank R [--control-fd N]", ft::rank::RunVerb},
    {"plan", "what a job would do: plan --spec FILE --cache DIR [--json]", ft::rank::PlanVerb},
    {"preview", "samples as the model sees them: preview --spec FILE --cache DIR [--json]",
     ft::rank::PreviewVerb},
    {"chat", "talk to a model: chat --model DIR [--adapter DIR] [--prompt TEXT]", ft::rank::ChatVerb},
    {"eval", "MMLU of a model: eval --model DIR [--adapter DIR] [--mmlu FILE]", ft::rank::EvalVerb},
    {"merge", "adapter and base as one model: merge --model M --adapter A --out DIR", ft::rank::MergeVerb},
    {"export", "the adapter as PEFT reads it: export --adapter A --out DIR", ft::rank::ExportVerb},
    {"convert", "a model in Hugging Face layout: convert SRC DST", ft::rank::ConvertVerb},
    {"version", "version of this program and of LibTorch", ft::rank::VersionVerb},
};

int Usage(std::FILE* to) {
  std::fprintf(to, "usage: ft-rank VERB ...\n");
  for (const Verb& verb : kVerbs) std::fprintf(to, "  %-8s %s\n", verb.name, verb.purpose);
  return to == stdout ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
  ft::rank::FixNumericEnvironment(argv);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return Usage(stderr);
  if (arguments[0] == "--help" || arguments[0] == "help") return Usage(stdout);
  for (const Verb& verb : kVerbs) {
    if (arguments[0] == verb.name) return verb.run({arguments.begin() + 1, arguments.end()});
  }
  std::fprintf(stderr, "ft-rank: unknown verb \"%s\"\n", arguments[0].c_str());
  return Usage(stderr);
}
