// ft-golden: a program of tests. It loads and runs models as ft-rank does, from the same library and with the same numeric
// environment, for what is no part of a job: comparisons. Each verb is a function that takes the arguments behind its name;
// exit status 0 = all as expected, 1 = not, 2 = wrong arguments.
#include <cstdio>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "tests/golden/compare.h"
#include "tests/golden/gpu_check.h"
#include "tests/golden/gpu_rates.h"
#include "tests/golden/logits.h"
#include "worker/rank/environment.h"

namespace {

struct Verb {
  const char* name;
  const char* purpose;
  ft::StatusOr<bool> (*run)(const std::vector<std::string>& arguments);
};

constexpr Verb kVerbs[] = {
    {"compare",
     "with reference results: compare DIR [--cases GLOB[,GLOB...]] [--dtype fp32|bf16|fp16] [--device "
     "cpu|gpu] [--bf16-products own|emulated] [--not-built FILE]",
     ft::golden::CompareVerb},
    {"gpu-check", "compare the CUDA kernels with the CPU's on this machine's first GPU",
     ft::golden::GpuCheckVerb},
    {"gpu-rates",
     "what that GPU copies, multiplies and dequantises a second: gpu-rates [--rows N] [--columns N] "
     "[--copy-mib N] "
     "[--gemm N] [--calls N]",
     ft::golden::GpuRatesVerb},
    {"logits", "logits of given ids: logits --model M [--adapter A] --tokens FILE --out FILE",
     ft::golden::LogitsVerb},
};

int Usage(std::FILE* to) {
  std::fprintf(to, "usage: ft-golden VERB ...\n");
  for (const Verb& verb : kVerbs) std::fprintf(to, "  %-9s %s\n", verb.name, verb.purpose);
  return to == stdout ? 0 : 2;
}

int Run(const Verb& verb, const std::vector<std::string>& arguments) {
  const ft::StatusOr<bool> done = verb.run(arguments);
  if (done.ok()) return *done ? 0 : 1;
  std::fprintf(stderr, "ft-golden %s: %s\n", verb.name, std::string(ft::Message(done.status())).c_str());
  return absl::IsInvalidArgument(done.status()) ? 2 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  ft::rank::FixNumericEnvironment(argv);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return Usage(stderr);
  if (arguments[0] == "--help" || arguments[0] == "help") return Usage(stdout);
  for (const Verb& verb : kVerbs) {
    if (arguments[0] == verb.name) return Run(verb, {arguments.begin() + 1, arguments.end()});
  }
  std::fprintf(stderr, "ft-golden: unknown verb \"%s\"\n", arguments[0].c_str());
  return Usage(stderr);
}
