#include "worker/rank/environment.h"

#include <ATen/Context.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "core/process/numeric_environment.h"

// jemalloc's settings, which it reads before main. A buffer that goes back to the kernel costs tens of milliseconds of page
// faults at its next use, so what was freed goes back little by little, within ten seconds, until steps say when
// (freed_pages.h), and large buffers are no exception (jemalloc gives those above 8 MiB back at once unless told
// otherwise). One arena, since one thread makes nearly all of a step's tensors: what is free is in one place.
extern "C" {
const char* malloc_conf = "narenas:1,oversize_threshold:0,dirty_decay_ms:10000,muzzy_decay_ms:0";
}

namespace ft::rank {
namespace {

constexpr const char* kRestarted = "FT_NUMERIC_ENVIRONMENT";

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
    std::fprintf(stderr, "%s: cannot start again with numeric settings: %s\n", argv[0], std::strerror(errno));
    std::exit(1);
  }
  ::unsetenv(kRestarted);
  at::globalContext().setDeterministicAlgorithms(true, false);
}

}  // namespace ft::rank
