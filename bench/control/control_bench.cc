// control_bench FINETUNED: measures the coordinator; a line of JSON for each figure.
#include <spdlog/spdlog.h>

#include <cstdio>

#include "bench/control/rows.h"

namespace ft::bench {

void Print(const std::string& name, double value) {
  std::printf("{\"name\": \"%s\", \"value\": %.9g}\n", name.c_str(), value);
  std::fflush(stdout);
}

}  // namespace ft::bench

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "control_bench FINETUNED\n");
    return 2;
  }
  spdlog::set_level(spdlog::level::err);
  for (const int jobs : {0, 10'000, 100'000}) ft::bench::MeasureStore(jobs);
  ft::bench::MeasurePass(10'000, 1000);
  ft::bench::MeasureProgress(argv[1]);
  ft::bench::MeasureWatches(argv[1]);
  return 0;
}
