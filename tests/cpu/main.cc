// cpu_levels [crash]: the vector instructions that this process is told of, a line each, as its main thread and another one are; with
// `crash` it dies of SIGSEGV behind them.
#include <cstdio>
#include <string>
#include <string_view>
#include <thread>

namespace {

std::string Levels() {
  __builtin_cpu_init();
  std::string levels;
  if (__builtin_cpu_supports("avx")) levels += "avx\n";
  if (__builtin_cpu_supports("fma")) levels += "fma\n";
  if (__builtin_cpu_supports("avx2")) levels += "avx2\n";
  if (__builtin_cpu_supports("avx512f")) levels += "avx512f\n";
  if (__builtin_cpu_supports("avx512bw")) levels += "avx512bw\n";
  if (__builtin_cpu_supports("avx512vnni")) levels += "avx512vnni\n";
  if (__builtin_cpu_supports("avx512bf16")) levels += "avx512bf16\n";
  return levels;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mine = Levels();
  std::string theirs;
  std::thread([&] { theirs = Levels(); }).join();
  std::fputs(mine.c_str(), stdout);
  if (mine != theirs) return 1;
  std::fflush(stdout);
  if (argc > 1 && argv[1] == std::string_view("crash")) *static_cast<volatile int*>(nullptr) = 1;
  return 0;
}
