// control_bench FINETUNED [store|pass|progress|watches]: measures the coordinator, or one part of it; a line
// of JSON for each figure.
#include <spdlog/spdlog.h>

#include <cstdio>
#include <string>

#include "bench/control/rows.h"

namespace ft::bench {

void Print(const std::string& name, double value) {
  std::printf("{\"name\": \"%s\", \"value\": %.9g}\n", name.c_str(), value);
  std::fflush(stdout);
}

}  // namespace ft::bench

int main(int argc, char** argv) {
  const std::string part = argc == 3 ? argv[2] : "";
  const bool known =
      part.empty() || part == "store" || part == "pass" || part == "progress" || part == "watches";
  if (argc < 2 || argc > 3 || !known) {
    std::fprintf(stderr, "control_bench FINETUNED [store|pass|progress|watches]\n");
    return 2;
  }
  const auto wanted = [&](const char* name) { return part.empty() || part == name; };
  spdlog::set_level(spdlog::level::err);
  if (wanted("store")) {
    for (const int jobs : {0, 10'000, 100'000}) ft::bench::MeasureStore(jobs);
  }
  if (wanted("pass")) ft::bench::MeasurePass(10'000, 1000);
  if (wanted("progress")) ft::bench::MeasureProgress(argv[1]);
  if (wanted("watches")) ft::bench::MeasureWatches(argv[1]);
  return 0;
}
