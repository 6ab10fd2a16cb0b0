#include "worker/rank/environment.h"

#include <ATen/Context.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ft::rank {
namespace {

constexpr const char* kRestarted = "FT_NUMERIC_ENVIRONMENT";

using Settings = std::vector<std::pair<std::string, std::string>>;

// What the libraries read while they are loaded. Threads that wait for work sleep instead of spinning: on a
// machine that is shared with other processes, spinning made a step nine times as long.
Settings LoadTimeSettings() {
  Settings settings = NumericEnvironment();
  settings.emplace_back("OMP_WAIT_POLICY", "PASSIVE");
  return settings;
}

// A weight-sized buffer that goes back to the kernel costs tens of milliseconds of page faults at its next
// use, so the process keeps what it has once touched.
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> NumericEnvironment() {
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    // With bf16 products where the CPU has them; AMX stays off, since its tiles sum in another order.
    const char* isa = __builtin_cpu_supports("avx512bf16") ? "AVX512_CORE_BF16" : "AVX512_CORE";
    return {{"MKL_CBWR", "AVX512,STRICT"}, {"ONEDNN_MAX_CPU_ISA", isa}};
  }
  if (__builtin_cpu_supports("avx2")) return {{"MKL_CBWR", "AVX2,STRICT"}, {"ONEDNN_MAX_CPU_ISA", "AVX2"}};
  return {{"MKL_CBWR", "COMPATIBLE"}, {"ONEDNN_MAX_CPU_ISA", "SSE41"}};
}

void FixNumericEnvironment(char** argv) {
  bool differs = false;
  for (const auto& [name, value] : LoadTimeSettings()) {
    const char* present = std::getenv(name.c_str());
    if (present != nullptr && value == present) continue;
    differs = true;
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  if (differs && std::getenv(kRestarted) == nullptr) {
    ::setenv(kRestarted, "1", 1);
    ::execv("/proc/self/exe", argv);
    std::fprintf(stderr, "ft-rank: cannot start again with numeric settings: %s\n", std::strerror(errno));
    std::exit(1);
  }
  ::unsetenv(kRestarted);
  KeepFreedMemory();
  at::globalContext().setDeterministicAlgorithms(true, false);
}

}  // namespace ft::rank
