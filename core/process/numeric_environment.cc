#include "core/process/numeric_environment.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace ft::process {
namespace {

using Settings = std::vector<std::pair<std::string, std::string>>;

Settings CodePaths() {
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) {
    // With bf16 products where the CPU has them; AMX stays off, since its tiles sum in another order.
    const char* isa = __builtin_cpu_supports("avx512bf16") ? "AVX512_CORE_BF16" : "AVX512_CORE";
    return {{"MKL_CBWR", "AVX512,STRICT"}, {"ONEDNN_MAX_CPU_ISA", isa}};
  }
  if (__builtin_cpu_supports("avx2")) return {{"MKL_CBWR", "AVX2,STRICT"}, {"ONEDNN_MAX_CPU_ISA", "AVX2"}};
  return {{"MKL_CBWR", "COMPATIBLE"}, {"ONEDNN_MAX_CPU_ISA", "SSE41"}};
}

}  // namespace

Settings NumericEnvironment() {
  Settings settings = CodePaths();
  settings.emplace_back("OMP_WAIT_POLICY", "PASSIVE");
  settings.emplace_back("GOMP_SPINCOUNT", "2000");
  // cuBLAS gives the same bits each time only with workspaces of its own that never move.
  settings.emplace_back("CUBLAS_WORKSPACE_CONFIG", ":4096:8");
  return settings;
}

void SetNumericEnvironment() {
  for (const auto& [name, value] : NumericEnvironment()) ::setenv(name.c_str(), value.c_str(), 1);
}

std::vector<std::string> EnvironmentWithNumericSettings() {
  const auto settings = NumericEnvironment();
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const bool replaced = std::any_of(settings.begin(), settings.end(), [&](const auto& setting) {
      return text.starts_with(setting.first + "=");
    });
    if (!replaced) all.push_back(text);
  }
  for (const auto& [name, value] : settings) all.push_back(name + "=" + value);
  return all;
}

}  // namespace ft::process
