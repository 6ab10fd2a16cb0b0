// history_check --coordinator FOLDER --history FILE [--worker FOLDER ...] [--node-loss D] [--stall D]
// [--progress D] The durations are the watched coordinator's settings, and how long a job may stand still at
// most. Exit status 0 when every invariant held, 1 with one line for each violation on stderr, 2 when it
// cannot tell.
#include <cstdio>
#include <string>

#include "tests/control/check/evidence.h"
#include "tests/control/check/invariants.h"

int main(int argc, char** argv) {
  std::filesystem::path coordinator, history;
  std::vector<std::filesystem::path> workers;
  ft::check::Bounds bounds;
  bool understood = true;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--coordinator") coordinator = argv[i + 1];
    if (name == "--history") history = argv[i + 1];
    if (name == "--worker") workers.emplace_back(argv[i + 1]);
    for (const auto& [flag, bound] : {std::pair{"--node-loss", &bounds.node_loss},
                                      {"--stall", &bounds.stall},
                                      {"--progress", &bounds.progress}}) {
      if (name == flag) understood = absl::ParseDuration(argv[i + 1], bound) && understood;
    }
  }
  if (!understood) {
    std::fprintf(stderr, "history_check: a duration cannot be read\n");
    return 2;
  }
  const auto evidence = ft::check::Collect(coordinator, workers, history);
  if (!evidence.ok()) {
    std::fprintf(stderr, "history_check: %s\n", std::string(ft::Message(evidence.status())).c_str());
    return 2;
  }
  const std::vector<std::string> violations = ft::check::FindViolations(*evidence, bounds);
  for (const std::string& violation : violations) std::fprintf(stderr, "%s\n", violation.c_str());
  std::fprintf(stderr, "history_check: %zu lines, %zu events, %zu jobs, %zu violations\n",
               evidence->history.size(), evidence->events.size(), evidence->state.jobs.size(),
               violations.size());
  return violations.empty() ? 0 : 1;
}
