#include "worker/rank/environment.h"

#include <ATen/Context.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/process/numeric_environment.h"

namespace ft::rank {
namespace {

constexpr const char* kRestarted = "FT_NUMERIC_ENVIRONMENT";

// A weight-sized buffer that goes back to the kernel costs tens of milliseconds of page faults at its next
// use, so the process keeps what it has once touched.
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

}  // namespace

void FixNumericEnvironment(char** argv) {
  bool differs = false;
  for (const auto& [name, value] : process::NumericEnvironment()) {
    const char* present = std::getenv(name.c_str());
    if (present == nullptr || value != present) differs = true;
  }
  if (differs && std::getenv(kRestarted) == nullptr) {
    process::SetNumericEnvironment();
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
